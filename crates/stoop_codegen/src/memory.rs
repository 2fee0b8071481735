//! Memory for machine code: never writable and executable at once, within a byte budget.
//!
//! New code is written to a copy of the pages it goes to; the copy is made executable and then moved over the
//! original in one step, so that threads running in those pages never notice. All memory is private: after
//! `fork`, parent and child change their own. (One file mapped twice would be simpler, and shared between
//! them.) Where the system cannot move pages, each unit gets pages of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Units start at this alignment.
const ALIGNMENT: usize = 32;
/// Bytes mapped at a time.
const CHUNK: usize = 256 * 1024;

/// Why code was not placed.
#[derive(Debug)]
pub enum MemoryError {
    /// The budget does not allow so many more bytes.
    Budget {
        /// Bytes asked for.
        wanted: usize,
        /// Bytes in use.
        used: usize,
        /// Bytes allowed.
        budget: usize,
    },
    /// The system allows no executable memory.
    Refused {
        /// What was asked of it.
        call: &'static str,
        /// Its answer.
        error: io::Error,
    },
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryError::Budget { wanted, used, budget } => {
                write!(f, "{wanted} more bytes of machine code exceed the budget: {used} of {budget} are in use")
            }
            MemoryError::Refused { call, error } => write!(f, "the system refuses executable memory ({call}: {error})"),
        }
    }
}

impl std::error::Error for MemoryError {}

/// Executable memory. Clones share one arena.
#[derive(Clone)]
pub struct Arena {
    shared: Arc<Mutex<Shared>>,
}

/// Placed machine code; its memory is given back when it is dropped.
///
/// Dropping it while a thread still runs in it is the caller's fault.
pub struct Code {
    address: NonNull<u8>,
    len: usize,
    home: Home,
    arena: Arc<Mutex<Shared>>,
}

// SAFETY: the code is immutable once placed, and giving it back goes through the arena's lock.
unsafe impl Send for Code {}
// SAFETY: as above; a shared reference only yields the address.
unsafe impl Sync for Code {}

impl Code {
    /// Where it starts.
    pub fn address(&self) -> u64 {
        self.address.as_ptr() as u64
    }
    /// Its bytes in use.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there is no code (never, for placed code).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn write(&self, bytes: &[u8]) -> Result<(), MemoryError> {
        // One writer at a time: units share pages.
        let _guard = lock(&self.arena);
        let page = page_size();
        let start = self.address() as usize;
        let first = start / page * page;
        let size = round_up(start + bytes.len(), page) - first;
        let copy = Mapping::new(size, libc::PROT_READ | libc::PROT_WRITE)?;
        // SAFETY: both ranges are mapped pages of this size, and the copy is nobody else's.
        unsafe {
            std::ptr::copy_nonoverlapping(first as *const u8, copy.address.as_ptr(), size);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy.address.as_ptr().add(start - first), bytes.len());
        }
        // SAFETY: the copy is ours.
        if unsafe { libc::mprotect(copy.address.as_ptr().cast(), size, libc::PROT_READ | libc::PROT_EXEC) } != 0 {
            return Err(refused("mprotect"));
        }
        copy.move_over(first)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({:#x}, {} bytes)", self.address(), self.len)
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        lock(&self.arena).give_back(&self.home);
    }
}

/// Where a unit lies.
enum Home {
    /// In chunk `.0`, from `.1`, `.2` bytes.
    Chunk(usize, usize, usize),
    /// In pages of its own.
    Pages(Mapping),
}

impl Home {
    fn size(&self) -> usize {
        match self {
            Home::Chunk(_, _, size) => *size,
            Home::Pages(m) => m.size,
        }
    }
}

struct Shared {
    budget: usize,
    used: usize,
    /// Whether units share pages.
    sharing: bool,
    chunks: Vec<Chunk>,
}

struct Chunk {
    memory: Mapping,
    /// Free ranges: start → size, never adjacent.
    free: BTreeMap<usize, usize>,
}

/// An mmap, undone when dropped.
struct Mapping {
    address: NonNull<u8>,
    size: usize,
}

// SAFETY: a mapping is plain memory; the arena's lock orders writes to it.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range came from mmap with this size and is unmapped once.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.size) };
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // The free lists are right between any two statements that could panic.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(call: &'static str) -> MemoryError {
    MemoryError::Refused { call, error: io::Error::last_os_error() }
}

impl Arena {
    /// An arena that hands out at most so many bytes. Maps nothing yet.
    pub fn new(budget: usize) -> Arena {
        Arena { shared: Arc::new(Mutex::new(Shared { budget, used: 0, sharing: cfg!(target_os = "linux"), chunks: Vec::new() })) }
    }

    /// An arena that gives each unit its own pages, as where the system cannot move pages.
    pub fn with_own_pages(budget: usize) -> Arena {
        let arena = Arena::new(budget);
        lock(&arena.shared).sharing = false;
        arena
    }

    /// Copies machine code to executable memory.
    pub fn place(&self, bytes: &[u8]) -> Result<Code, MemoryError> {
        self.place_with(bytes.len(), |_| bytes.to_vec())
    }

    /// Places code that must know its own address: `make` gets it and yields at most `size` bytes.
    pub fn place_with(&self, size: usize, make: impl FnOnce(u64) -> Vec<u8>) -> Result<Code, MemoryError> {
        let mut shared = lock(&self.shared);
        let (address, home) = shared.reserve(size.max(1))?;
        shared.used += home.size();
        // From here on, dropping the unit gives the room back.
        let code = Code { address, len: size, home, arena: Arc::clone(&self.shared) };
        drop(shared);
        let bytes = make(code.address());
        assert!(bytes.len() <= size, "code of {} bytes in a place for {size}", bytes.len());
        code.write(&bytes)?;
        Ok(code)
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        lock(&self.shared).used
    }

    /// Bytes allowed.
    pub fn budget(&self) -> usize {
        lock(&self.shared).budget
    }

    /// Bytes mapped from the system for shared chunks.
    pub fn mapped(&self) -> usize {
        lock(&self.shared).chunks.iter().map(|c| c.memory.size).sum()
    }
}

fn round_up(size: usize, to: usize) -> usize {
    size.div_ceil(to) * to
}

fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

impl Shared {
    /// Finds room, and what to give back later.
    fn reserve(&mut self, size: usize) -> Result<(NonNull<u8>, Home), MemoryError> {
        let size = round_up(size, if self.sharing { ALIGNMENT } else { page_size() });
        if size > self.budget.saturating_sub(self.used) {
            return Err(MemoryError::Budget { wanted: size, used: self.used, budget: self.budget });
        }
        if !self.sharing {
            let mapping = Mapping::new(size, libc::PROT_READ)?;
            return Ok((mapping.address, Home::Pages(mapping)));
        }
        if let Some(found) = self.take(size) {
            return Ok(found);
        }
        let size_of_chunk = round_up(size.max(CHUNK), page_size());
        let memory = Mapping::new(size_of_chunk, libc::PROT_READ)?;
        self.chunks.push(Chunk { memory, free: BTreeMap::from([(0, size_of_chunk)]) });
        // The new chunk is free and large enough.
        self.take(size).ok_or(MemoryError::Budget { wanted: size, used: self.used, budget: self.budget })
    }

    fn take(&mut self, size: usize) -> Option<(NonNull<u8>, Home)> {
        for (i, chunk) in self.chunks.iter_mut().enumerate() {
            let Some((&start, &room)) = chunk.free.iter().find(|(_, room)| **room >= size) else { continue };
            chunk.free.remove(&start);
            if room > size {
                chunk.free.insert(start + size, room - size);
            }
            // SAFETY: `start + size` lies within the mapping.
            let address = unsafe { chunk.memory.address.add(start) };
            return Some((address, Home::Chunk(i, start, size)));
        }
        None
    }

    fn give_back(&mut self, home: &Home) {
        self.used -= home.size();
        let Home::Chunk(i, start, size) = *home else { return };
        let chunk = &mut self.chunks[i];
        let (mut start, mut size) = (start, size);
        if let Some(after) = chunk.free.remove(&(start + size)) {
            size += after;
        }
        if let Some((&before, &room)) = chunk.free.range(..start).next_back()
            && before + room == start
        {
            chunk.free.remove(&before);
            (start, size) = (before, room + size);
        }
        chunk.free.insert(start, size);
    }
}

impl Mapping {
    /// Fresh, zeroed, private memory.
    fn new(size: usize, protection: i32) -> Result<Mapping, MemoryError> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping at an address of the system's choice; the result is checked.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(refused("mmap"));
        }
        let address = NonNull::new(address.cast()).ok_or_else(|| refused("mmap"))?;
        Ok(Mapping { address, size })
    }

    /// Puts these pages in the place of those at an address, which must be mapped, and ours.
    #[cfg(target_os = "linux")]
    fn move_over(self, address: usize) -> Result<(), MemoryError> {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: source and target are whole mapped pages of ours, and the contents differ only where
        // nobody runs yet.
        let at = unsafe { libc::mremap(self.address.as_ptr().cast(), self.size, self.size, flags, address as *mut libc::c_void) };
        if at == libc::MAP_FAILED {
            return Err(refused("mremap"));
        }
        // The old address range is gone, so there is nothing to unmap.
        std::mem::forget(self);
        Ok(())
    }

    /// Puts these bytes in the place of those at an address, which must be mapped, ours, and nobody else's.
    #[cfg(not(target_os = "linux"))]
    fn move_over(self, address: usize) -> Result<(), MemoryError> {
        let target = address as *mut libc::c_void;
        // SAFETY: a unit has its target pages to itself here, and nobody runs in them yet.
        unsafe {
            if libc::mprotect(target, self.size, libc::PROT_READ | libc::PROT_WRITE) != 0 {
                return Err(refused("mprotect"));
            }
            std::ptr::copy_nonoverlapping(self.address.as_ptr(), target.cast(), self.size);
            if libc::mprotect(target, self.size, libc::PROT_READ | libc::PROT_EXEC) != 0 {
                return Err(refused("mprotect"));
            }
        }
        Ok(())
    }
}
