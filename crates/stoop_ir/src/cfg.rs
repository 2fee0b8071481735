//! Control flow: predecessors, reverse postorder, dominators, natural loops, unreachable blocks.
//!
//! Everything here is a snapshot: it describes the function as it was when it was made.

use crate::func::{Block, BlockData, Def, Function};

/// The number of a block that cannot be reached.
const UNREACHED: u32 = u32::MAX;

/// The control-flow graph with its dominator tree.
#[derive(Clone, Debug)]
pub struct Cfg {
    preds: Vec<Vec<Block>>,
    rpo: Vec<Block>,
    rpo_index: Vec<u32>,
    idom: Vec<Option<Block>>,
    children: Vec<Vec<Block>>,
    /// Entry and exit times of a walk over the dominator tree: nesting of intervals is dominance.
    interval: Vec<(u32, u32)>,
}

impl Cfg {
    /// Analyses a function.
    pub fn new(func: &Function) -> Cfg {
        let rpo = reverse_postorder(func);
        let n = func.blocks.len();
        let mut rpo_index = vec![UNREACHED; n];
        for (i, b) in rpo.iter().enumerate() {
            rpo_index[b.index()] = i as u32;
        }
        let mut preds = vec![Vec::new(); n];
        for &b in &rpo {
            for s in func.successors(b) {
                preds[s.index()].push(b);
            }
        }
        let idom = dominators(&rpo, &rpo_index, &preds);
        let mut children = vec![Vec::new(); n];
        for &b in &rpo {
            if let Some(d) = idom[b.index()] {
                children[d.index()].push(b);
            }
        }
        let interval = tree_intervals(func.entry(), &children, n);
        Cfg { preds, rpo, rpo_index, idom, children, interval }
    }

    /// The predecessors of a block, one entry an edge: a branch with two edges to one block is there twice.
    pub fn preds(&self, b: Block) -> &[Block] {
        &self.preds[b.index()]
    }
    /// The reachable blocks, each before its successors except along back edges.
    pub fn rpo(&self) -> &[Block] {
        &self.rpo
    }
    /// A block's place in [`Cfg::rpo`].
    pub fn rpo_index(&self, b: Block) -> Option<usize> {
        let i = self.rpo_index[b.index()];
        (i != UNREACHED).then_some(i as usize)
    }
    /// Whether the entry leads to the block.
    pub fn is_reachable(&self, b: Block) -> bool {
        self.rpo_index[b.index()] != UNREACHED
    }
    /// The immediate dominator; `None` for the entry and for unreachable blocks.
    pub fn idom(&self, b: Block) -> Option<Block> {
        self.idom[b.index()]
    }
    /// The blocks that a block dominates immediately, in reverse postorder.
    pub fn dom_children(&self, b: Block) -> &[Block] {
        &self.children[b.index()]
    }
    /// Whether every path from the entry to `b` leads through `a`. A block dominates itself.
    pub fn dominates(&self, a: Block, b: Block) -> bool {
        let (a, b) = (self.interval[a.index()], self.interval[b.index()]);
        a.0 != UNREACHED && b.0 != UNREACHED && a.0 <= b.0 && b.1 <= a.1
    }
    /// The reachable blocks in an order where a dominator comes before what it dominates (depth first).
    pub fn dom_preorder(&self) -> Vec<Block> {
        let mut order: Vec<Block> = self.rpo.clone();
        order.sort_by_key(|b| self.interval[b.index()].0);
        order
    }
}

fn reverse_postorder(func: &Function) -> Vec<Block> {
    let mut seen = vec![false; func.blocks.len()];
    let mut order = Vec::with_capacity(func.blocks.len());
    let succs = |b: Block| func.successors(b).collect::<Vec<_>>();
    seen[0] = true;
    let mut stack = vec![(func.entry(), succs(func.entry()))];
    while let Some((b, rest)) = stack.last_mut() {
        // Taking successors from the back puts the first target right after its source in the result.
        if let Some(s) = rest.pop() {
            if !seen[s.index()] {
                seen[s.index()] = true;
                stack.push((s, succs(s)));
            }
        } else {
            order.push(*b);
            stack.pop();
        }
    }
    order.reverse();
    order
}

/// Immediate dominators by iteration over reverse postorder ("A Simple, Fast Dominance Algorithm").
fn dominators(rpo: &[Block], index: &[u32], preds: &[Vec<Block>]) -> Vec<Option<Block>> {
    let mut idom = vec![UNREACHED; rpo.len()];
    idom[0] = 0;
    let mut changed = true;
    while changed {
        changed = false;
        for (i, b) in rpo.iter().enumerate().skip(1) {
            let mut new = UNREACHED;
            for p in &preds[b.index()] {
                let p = index[p.index()];
                if idom[p as usize] == UNREACHED {
                    continue;
                }
                new = if new == UNREACHED { p } else { intersect(&idom, new, p) };
            }
            if idom[i] != new {
                idom[i] = new;
                changed = true;
            }
        }
    }
    let mut out = vec![None; index.len()];
    for (i, b) in rpo.iter().enumerate().skip(1) {
        out[b.index()] = Some(rpo[idom[i] as usize]);
    }
    out
}

fn intersect(idom: &[u32], mut a: u32, mut b: u32) -> u32 {
    while a != b {
        while a > b {
            a = idom[a as usize];
        }
        while b > a {
            b = idom[b as usize];
        }
    }
    a
}

fn tree_intervals(entry: Block, children: &[Vec<Block>], n: usize) -> Vec<(u32, u32)> {
    let mut out = vec![(UNREACHED, UNREACHED); n];
    let mut clock = 0;
    let mut stack = vec![(entry, 0)];
    out[entry.index()].0 = 0;
    while let Some((b, next)) = stack.last_mut() {
        clock += 1;
        if let Some(&c) = children[b.index()].get(*next) {
            *next += 1;
            out[c.index()].0 = clock;
            stack.push((c, 0));
        } else {
            out[b.index()].1 = clock;
            stack.pop();
        }
    }
    out
}

/// A natural loop.
#[derive(Clone, Debug)]
pub struct Loop {
    /// The block that every iteration starts with.
    pub header: Block,
    /// The blocks with an edge back to the header.
    pub latches: Vec<Block>,
    /// All blocks, the header and inner loops' included, in reverse postorder.
    pub blocks: Vec<Block>,
    /// The smallest loop around this one: its position in [`Loops::loops`].
    pub parent: Option<usize>,
    /// 1 for a loop that is in no other.
    pub depth: u32,
}

/// The natural loops of a function. Loops that share a header are one loop.
#[derive(Clone, Debug, Default)]
pub struct Loops {
    /// The loops, outer ones before the ones in them.
    pub loops: Vec<Loop>,
    innermost: Vec<Option<u32>>,
}

impl Loops {
    /// Finds the loops. Edges into the middle of a cycle (irreducible flow) make no loop.
    pub fn new(func: &Function, cfg: &Cfg) -> Loops {
        let mut out = Loops { loops: Vec::new(), innermost: vec![None; func.blocks.len()] };
        let mut mark = vec![u32::MAX; func.blocks.len()];
        for &h in cfg.rpo() {
            let mut latches: Vec<Block> = cfg.preds(h).iter().copied().filter(|p| cfg.dominates(h, *p)).collect();
            latches.dedup();
            if latches.is_empty() {
                continue;
            }
            let id = out.loops.len() as u32;
            let mut blocks = vec![h];
            mark[h.index()] = id;
            let mut work = latches.clone();
            while let Some(b) = work.pop() {
                if mark[b.index()] != id {
                    mark[b.index()] = id;
                    blocks.push(b);
                    work.extend_from_slice(cfg.preds(b));
                }
            }
            blocks.sort_by_key(|b| cfg.rpo_index(*b));
            // Headers come in reverse postorder, so whatever loop the header is in already is around this one.
            let parent = out.innermost[h.index()].map(|p| p as usize);
            let depth = parent.map_or(1, |p| out.loops[p].depth + 1);
            for b in &blocks {
                out.innermost[b.index()] = Some(id);
            }
            out.loops.push(Loop { header: h, latches, blocks, parent, depth });
        }
        out
    }
    /// The smallest loop a block is in: its position in [`Loops::loops`].
    pub fn innermost(&self, b: Block) -> Option<usize> {
        self.innermost[b.index()].map(|l| l as usize)
    }
    /// In how many loops a block is.
    pub fn depth(&self, b: Block) -> u32 {
        self.innermost(b).map_or(0, |l| self.loops[l].depth)
    }
    /// Whether a block is in a loop (or in one inside it).
    pub fn contains(&self, l: usize, b: Block) -> bool {
        let mut at = self.innermost(b);
        while let Some(i) = at {
            if i == l {
                return true;
            }
            at = self.loops[i].parent;
        }
        false
    }
}

/// Removes the blocks that the entry does not lead to and numbers the others densely, in the same order.
///
/// Returns how many were removed.
pub fn remove_unreachable_blocks(func: &mut Function) -> usize {
    let mut map = vec![None; func.blocks.len()];
    for b in reverse_postorder(func) {
        map[b.index()] = Some(b);
    }
    let removed = map.iter().filter(|m| m.is_none()).count();
    if removed == 0 {
        return 0;
    }
    for (m, n) in map.iter_mut().flatten().zip(0..) {
        *m = Block(n);
    }
    let old = std::mem::take(&mut func.blocks);
    for (i, data) in old.into_iter().enumerate() {
        let Some(new) = map[i] else { continue };
        for p in &data.params {
            func.values[p.index()].def = Def::Param(new);
        }
        for inst in &data.insts {
            for t in &mut func.insts[inst.index()].targets {
                // A target of a reachable block is reachable.
                t.block = map[t.block.index()].unwrap_or(t.block);
            }
        }
        func.blocks.push(BlockData { ..data });
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    /// Two nested loops, a diamond in the inner one, and a block nobody leads to.
    fn nest() -> Function {
        parse(
            r#"func "nest"
b0():
  v0: i64 = const.int 0
  v1: i1 = const.bool 1
  jump b1(v0)
b1(v2: i64):
  branch v1, b2, b8
b2():
  jump b3(v2)
b3(v3: i64):
  branch v1, b4, b5
b4():
  jump b6
b5():
  jump b6
b6():
  branch v1, b3(v3), b7
b7():
  jump b1(v3)
b8():
  exit "done" state s0
b9():
  jump b8
s0 = code 0 unit 0 locals [] stack []
"#,
        )
        .unwrap()
    }

    #[test]
    fn dominators_of_nested_loops() {
        let f = nest();
        let cfg = Cfg::new(&f);
        assert!(!cfg.is_reachable(Block(9)));
        assert_eq!(cfg.idom(Block(6)), Some(Block(3)));
        assert_eq!(cfg.idom(Block(8)), Some(Block(1)));
        assert_eq!(cfg.idom(Block(0)), None);
        assert!(cfg.dominates(Block(3), Block(7)));
        assert!(cfg.dominates(Block(3), Block(3)));
        assert!(!cfg.dominates(Block(4), Block(6)));
        assert!(!cfg.dominates(Block(9), Block(8)));
        assert_eq!(cfg.rpo()[0], Block(0));
        assert_eq!(cfg.preds(Block(3)).len(), 2);
    }

    #[test]
    fn loops_nest() {
        let f = nest();
        let cfg = Cfg::new(&f);
        let loops = Loops::new(&f, &cfg);
        assert_eq!(loops.loops.len(), 2);
        let (outer, inner) = (&loops.loops[0], &loops.loops[1]);
        assert_eq!((outer.header, outer.depth, outer.parent), (Block(1), 1, None));
        assert_eq!((inner.header, inner.depth, inner.parent), (Block(3), 2, Some(0)));
        assert_eq!(inner.latches, vec![Block(6)]);
        assert_eq!(inner.blocks.len(), 4);
        assert_eq!(outer.blocks.len(), 7);
        assert_eq!(loops.depth(Block(5)), 2);
        assert_eq!(loops.depth(Block(8)), 0);
        assert!(loops.contains(0, Block(5)) && !loops.contains(1, Block(7)));
    }

    #[test]
    fn unreachable_blocks_go() {
        let mut f = nest();
        // Make the outer loop's exit unreachable in the middle of the numbering.
        let t = f.terminator(Block(3)).unwrap();
        f.inst_mut(t).targets[1].block = Block(4);
        assert_eq!(remove_unreachable_blocks(&mut f), 2);
        assert_eq!(f.blocks.len(), 8);
        assert_eq!(crate::verify::verify(&f), Vec::<String>::new());
        assert_eq!(remove_unreachable_blocks(&mut f), 0);
    }
}
