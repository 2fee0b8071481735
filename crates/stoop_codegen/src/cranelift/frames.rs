//! Frames of inlined functions.
//!
//! An inlined function has none while nobody can look. Around an operation that may run Python code they are pushed,
//! outermost first, as the operation's frame state says, and popped again. They own what their locals hold, because
//! whoever gets at a frame may write them, but borrow function and code, which the region keeps alive.
//!
//! Where somebody still has one of them afterwards, or has looked into the real frame, they are left standing: the safe
//! point that follows leaves, and the exit goes on in these very frames. So it does with an exception.

use super::lower::Lower;
use super::slots::Root;
use crate::runtime::Helper;
use crate::unit::{Error, FrameImage};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value as CV, types};
use stoop_ir::{Class, InstData, Op, State, Type, Value};

/// Frames that stand while one operation runs.
pub(crate) struct Pushed {
    /// The outermost one's address.
    first: CV,
    /// Each one's distance from it.
    offsets: Vec<i32>,
    /// What their locals own.
    owned: Vec<Held>,
}

/// What a local of a frame is to hold.
struct Held {
    object: CV,
    ty: Type,
    /// A box that is made for it, with the reference that goes into the frame.
    fresh: bool,
}

impl Lower<'_> {
    /// The frame in which the present operation runs Python code.
    pub(crate) fn present_frame(&mut self) -> CV {
        let Some((first, offset)) = self.pushed.as_ref().and_then(|p| Some((p.first, *p.offsets.last()?))) else {
            return self.frame;
        };
        self.add_imm(first, i64::from(offset))
    }

    /// What holds the thread's current frame.
    fn holder(&mut self, record: Option<i32>) -> CV {
        match record {
            Some(offset) => self.load(self.tstate, offset),
            None => self.tstate,
        }
    }

    /// Whether the current frame is another than the real one, in inlined code: there only it may be.
    pub(crate) fn frames_stand(&mut self) -> Result<Option<CV>, Error> {
        let state = self.f.inst(self.inst).state.ok_or_else(|| self.malformed("needs a frame state"))?;
        let (true, Some(frames)) = (self.f.states[state.index()].parent.is_some(), self.req.frames) else { return Ok(None) };
        let holder = self.holder(frames.abi.current_record);
        let current = self.load(holder, frames.abi.current_frame);
        Ok(Some(self.icmp(IntCC::NotEqual, current, self.frame)))
    }

    /// Leaves unless the recursion limit allows for so many more calls.
    pub(crate) fn guard_depth(&mut self, data: &InstData) -> Result<(), Error> {
        let frames = self.req.frames.ok_or_else(|| self.unsupported("inlined functions have no frames"))?;
        let levels = self.known_int(data.args[0]).ok_or_else(|| self.malformed("needs a constant"))?;
        let left = self.load_as(types::I32, self.tstate, frames.abi.py_recursion);
        let deep = self.icmp_imm(IntCC::SignedLessThan, left, levels);
        self.guard_not(deep)
    }

    /// Pushes the frames of the inlined functions that the present operation is in.
    pub(crate) fn push_inlined(&mut self, data: &InstData) -> Result<(), Error> {
        let state = data.state.ok_or_else(|| self.malformed("needs a frame state"))?;
        let mut levels: Vec<State> = Vec::new();
        let mut at = Some(state);
        while let Some(s) = at {
            levels.push(s);
            at = self.f.states[s.index()].parent;
        }
        levels.pop();
        levels.reverse();
        if levels.is_empty() {
            return Ok(());
        }
        let frames = self.req.frames.ok_or_else(|| self.unsupported("Python code may run inside an inlined function"))?;
        let images = levels
            .iter()
            .map(|s| frames.images.get(self.f.states[s.index()].code as usize - 1))
            .collect::<Option<Vec<&FrameImage>>>()
            .ok_or_else(|| self.malformed("is in a function that is not there"))?;
        let abi = frames.abi;
        let mut offsets = Vec::new();
        let mut total = 0;
        for image in &images {
            offsets.push(total);
            total += image.size as i32;
        }
        // All values first: making boxes may branch.
        let mut locals: Vec<Vec<Held>> = Vec::new();
        for (s, image) in levels.iter().zip(&images) {
            let values = &self.f.states[s.index()].locals;
            let all = (0..image.locals as usize).map(|k| self.held(values.get(k).copied().flatten()));
            locals.push(all.collect::<Result<_, Error>>()?);
        }

        let holder = self.holder(abi.current_record);
        let current = self.load(holder, abi.current_frame);
        let (fresh, standing, ready) = (self.next_block(), self.cold_block(), self.next_block());
        let first = self.b.append_block_param(ready, types::I64);
        let differs = self.icmp(IntCC::NotEqual, current, self.frame);
        self.branch(differs, standing, fresh);
        // Left standing by an earlier operation of the same instruction. They hold what they should.
        self.b.switch_to_block(standing);
        for h in locals.iter().flatten().filter(|h| h.fresh) {
            self.dec_ref_of(h.object, h.ty)?;
        }
        let found = self.helper1(Helper::FirstInlined, &[self.tstate, self.frame])?;
        self.jump(ready, &[found]);

        self.b.switch_to_block(fresh);
        let top = self.load(self.tstate, abi.stack_top);
        let end = self.add_imm(top, i64::from(total));
        let limit = self.load(self.tstate, abi.stack_limit);
        let full = self.icmp(IntCC::UnsignedGreaterThanOrEqual, end, limit);
        let (grow, fits, placed) = (self.cold_block(), self.next_block(), self.next_block());
        let start = self.b.append_block_param(placed, types::I64);
        self.branch(full, grow, fits);
        self.b.switch_to_block(grow);
        let bytes = self.iconst(i64::from(total));
        let room = self.helper1(Helper::RoomForInlined, &[self.tstate, bytes])?;
        self.jump(placed, &[room]);
        self.b.switch_to_block(fits);
        self.store(end, self.tstate, abi.stack_top);
        self.jump(placed, &[top]);
        self.b.switch_to_block(placed);
        let left = self.load_as(types::I32, self.tstate, abi.py_recursion);
        let less = self.add_imm(left, -(levels.len() as i64));
        self.store(less, self.tstate, abi.py_recursion);
        let mut previous = self.frame;
        for (k, (s, image)) in levels.iter().zip(&images).enumerate() {
            let frame = self.add_imm(start, i64::from(offsets[k]));
            let state = &self.f.states[s.index()];
            let position = (self.req.unit_address)(state.code, state.unit);
            for &(offset, word) in &image.words {
                let word = if offset == self.req.abi.frame_instr { position } else { word };
                let word = self.address(word);
                self.store(word, frame, offset);
            }
            let function = self.address(image.function);
            self.store(function, frame, abi.frame_function);
            self.store(previous, frame, abi.frame_previous);
            for (i, h) in locals[k].iter().enumerate() {
                if !h.fresh {
                    self.inc_ref_of(h.object, h.ty)?;
                }
                self.store(h.object, frame, abi.frame_locals + 8 * i as i32);
            }
            previous = frame;
        }
        self.store(previous, holder, abi.current_frame);
        self.jump(ready, &[start]);
        self.b.switch_to_block(ready);
        self.pushed = Some(Pushed { first, offsets, owned: locals.into_iter().flatten().collect() });
        Ok(())
    }

    /// Pops them again, after the operation has succeeded.
    pub(crate) fn pop_inlined(&mut self) -> Result<(), Error> {
        let (Some(pushed), Some(frames)) = (self.pushed.take(), self.req.frames) else { return Ok(()) };
        let abi = frames.abi;
        let mut seen = self.load(self.frame, abi.frame_object);
        for offset in &pushed.offsets {
            let object = self.load(pushed.first, offset + abi.frame_object);
            seen = self.b.ins().bor(seen, object);
        }
        let seen = self.icmp_imm(IntCC::NotEqual, seen, 0);
        let chunk = self.load(self.tstate, abi.stack_chunk);
        let data = self.add_imm(chunk, i64::from(abi.chunk_data));
        let begins = self.icmp(IntCC::Equal, data, pushed.first);
        let other = self.b.ins().bor(seen, begins);
        let (slow, fast, done) = (self.cold_block(), self.next_block(), self.next_block());
        self.branch(other, slow, fast);
        self.b.switch_to_block(slow);
        self.helper(Helper::PopInlined, &[self.tstate, self.frame]);
        self.jump(done, &[]);

        self.b.switch_to_block(fast);
        let holder = self.holder(abi.current_record);
        self.store(self.frame, holder, abi.current_frame);
        self.store(pushed.first, self.tstate, abi.stack_top);
        let left = self.load_as(types::I32, self.tstate, abi.py_recursion);
        let more = self.add_imm(left, pushed.offsets.len() as i64);
        self.store(more, self.tstate, abi.py_recursion);
        for h in &pushed.owned {
            self.dec_ref_of(h.object, h.ty)?;
        }
        self.jump(done, &[]);
        self.b.switch_to_block(done);
        Ok(())
    }

    /// The object a local of a frame is to hold.
    fn held(&mut self, v: Option<Value>) -> Result<Held, Error> {
        let borrowed = |object: CV, ty: Type| Held { object, ty, fresh: false };
        let Some(v) = v else { return Ok(borrowed(self.iconst(0), Type::Null)) };
        let ty = self.f.ty(v);
        if let Root::Value(root) = self.roots.reference(v)
            && let Some(op) = self.f.def_inst(root).map(|i| self.f.inst(i).op)
            && matches!(op, Op::VirtualTuple | Op::VirtualRange | Op::VirtualIter | Op::VirtualObject)
        {
            return Err(self.malformed("shows an object that is not there"));
        }
        let value = self.v(v)?;
        let fresh = |object: CV| Held { object, ty: Type::Obj, fresh: true };
        Ok(match ty {
            Type::I64 => fresh(self.box_int(value)?),
            Type::F64 => fresh(self.helper1(Helper::BoxFloat, &[value])?),
            Type::I1 => borrowed(self.box_bool(value), Type::Exact(Class::Bool)),
            _ => borrowed(value, ty),
        })
    }
}
