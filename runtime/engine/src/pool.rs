//! Memory set aside for nodes that run through tract, which allocates as it goes.
//!
//! A process that installs [`Pooled`] around its global allocator gives such nodes a block of their own: while one of them
//! runs, what its thread asks for comes from a TLSF allocator (constant time) over a block that was reserved and touched when
//! the session was made, and the process's allocator sees nothing. The size comes from what the first run needed. Without
//! [`Pooled`], nodes without a step allocate from the process's allocator, and whoever counts there counts them.
//!
//! Freeing asks for every address whether it lies in such a block: two comparisons where there is none.

use rlsf::Tlsf;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Sessions with nodes of tract's that may have a block at the same time; one more allocates from the system.
const MAX_POOLS: usize = 16;

/// Bytes of a block beyond twice what the first run needed: room for what fragmentation leaves unused.
const SPARE_BYTES: usize = 256 << 10;

/// Blocks begin on a page.
const PAGE_BYTES: usize = 4096;

type Blocks = Tlsf<'static, u32, u32, 26, 32>;

struct Region {
    start: AtomicUsize,
    end: AtomicUsize,
    taken: AtomicBool,
    locked: AtomicBool,
    /// Allocations that are not freed yet.
    live: AtomicUsize,
    blocks: UnsafeCell<Blocks>,
}

// SAFETY: `blocks` is only touched within `Region::with`, under the lock.
unsafe impl Sync for Region {}

static REGIONS: [Region; MAX_POOLS] = [const { Region::new() }; MAX_POOLS];

/// Addresses below and from here on are in no region.
static LOWEST: AtomicUsize = AtomicUsize::new(usize::MAX);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);

/// Where a thread's allocations go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    System,
    /// To the system, with a count of the bytes in use.
    Measured,
    Region(usize),
}

thread_local! {
    // Const-initialised and without destructors: read inside `alloc`.
    static USE: Cell<Use> = const { Cell::new(Use::System) };
    /// Bytes in use and the most so far, and how many allocations there were, while measuring.
    static MEASURED: Cell<(isize, isize, usize)> = const { Cell::new((0, 0, 0)) };
}

impl Region {
    const fn new() -> Region {
        Region {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            taken: AtomicBool::new(false),
            locked: AtomicBool::new(false),
            live: AtomicUsize::new(0),
            blocks: UnsafeCell::new(Tlsf::new()),
        }
    }

    /// Contended only where another thread frees what a node of tract's left behind: a few dozen instructions.
    fn with<R>(&self, work: impl FnOnce(&mut Blocks) -> R) -> R {
        while self.locked.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: the lock is held; neither TLSF nor `work` unwinds or comes back here.
        let result = work(unsafe { &mut *self.blocks.get() });
        self.locked.store(false, Ordering::Release);
        result
    }

    fn holds(&self, address: usize) -> bool {
        (self.start.load(Ordering::Acquire)..self.end.load(Ordering::Acquire)).contains(&address)
    }

    fn bytes(&self) -> usize {
        self.end.load(Ordering::Acquire) - self.start.load(Ordering::Acquire)
    }

    fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        let block = self.with(|blocks| blocks.allocate(layout))?;
        self.live.fetch_add(1, Ordering::Relaxed);
        Some(block)
    }

    /// # Safety
    /// `block` came from `allocate` with this alignment.
    unsafe fn free(&self, block: *mut u8, align: usize) {
        // SAFETY: the caller's promise; a block of ours is not null.
        self.with(|blocks| unsafe { blocks.deallocate(NonNull::new_unchecked(block), align) });
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The region that an address lies in.
fn owner(block: *mut u8) -> Option<&'static Region> {
    let address = block as usize;
    if address < LOWEST.load(Ordering::Relaxed) || address >= HIGHEST.load(Ordering::Relaxed) {
        return None;
    }
    REGIONS.iter().find(|region| region.holds(address))
}

/// A block of memory for a session's nodes of tract's. Given back when it is dropped, for the next session.
pub(crate) struct Pool(usize);

impl Pool {
    /// A block that is large enough for what was [`measured`].
    pub fn reserve(need: Need) -> Option<Pool> {
        let bytes = (2 * need.bytes + 64 * need.allocations + SPARE_BYTES).next_multiple_of(PAGE_BYTES);
        let free = |index: &usize| REGIONS[*index].live.load(Ordering::Relaxed) == 0;
        let mut indices = (0..MAX_POOLS).filter(free);
        let index = indices.find(|index| {
            let fits = REGIONS[*index].bytes() >= bytes || REGIONS[*index].bytes() == 0;
            fits && !REGIONS[*index].taken.swap(true, Ordering::AcqRel)
        })?;
        let region = &REGIONS[index];
        if region.bytes() == 0 {
            let layout = Layout::from_size_align(bytes, PAGE_BYTES).ok()?;
            // SAFETY: the size is not 0. The block lives as long as the process.
            let start = NonNull::new(unsafe { System.alloc(layout) })?;
            // SAFETY: `bytes` were allocated. Written to, so that no page is missing later.
            unsafe { std::ptr::write_bytes(start.as_ptr(), 0x5a, bytes) };
            // SAFETY: the block is nobody else's and lives for ever.
            region.with(|blocks| unsafe { blocks.insert_free_block_ptr(NonNull::slice_from_raw_parts(start, bytes)) });
            let address = start.as_ptr() as usize;
            region.start.store(address, Ordering::Release);
            region.end.store(address + bytes, Ordering::Release);
            LOWEST.fetch_min(address, Ordering::AcqRel);
            HIGHEST.fetch_max(address + bytes, Ordering::AcqRel);
        }
        Some(Pool(index))
    }

    pub fn bytes(&self) -> usize {
        REGIONS[self.0].bytes()
    }

    /// What this thread allocates in `work` comes from the pool, as long as there is room.
    pub fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        let _back = Back(USE.replace(Use::Region(self.0)));
        work()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        REGIONS[self.0].taken.store(false, Ordering::Release);
    }
}

/// Restores where allocations go, also when the work panics.
struct Back(Use);

impl Drop for Back {
    fn drop(&mut self) {
        USE.set(self.0);
    }
}

/// What some work needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// The most bytes in use at a time.
    pub bytes: usize,
    pub allocations: usize,
}

/// Runs `work` and says what this thread needed meanwhile; nothing where [`Pooled`] is not installed.
pub(crate) fn measured<R>(work: impl FnOnce() -> R) -> (R, Need) {
    MEASURED.set((0, 0, 0));
    let back = Back(USE.replace(Use::Measured));
    let result = work();
    drop(back);
    let (_, most, allocations) = MEASURED.get();
    (result, Need { bytes: usize::try_from(most).unwrap_or(0), allocations })
}

fn note(bytes: isize) {
    let (held, most, count) = MEASURED.get();
    MEASURED.set((held + bytes, most.max(held + bytes), count + usize::from(bytes > 0)));
}

/// A global allocator that hands what nodes without a step allocate to their session's pool, and the rest to `A`.
pub struct Pooled<A>(pub A);

fn current() -> Use {
    // Gone only while the thread ends.
    USE.try_with(Cell::get).unwrap_or(Use::System)
}

// SAFETY: every block comes from `A` or from a region, and goes back where it came from: regions are found by address. Neither
// counting nor TLSF allocates or unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Pooled<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match current() {
            Use::System => {}
            Use::Measured => note(layout.size() as isize),
            Use::Region(index) => {
                if let Some(block) = REGIONS[index].allocate(layout) {
                    return block.as_ptr();
                }
            }
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if current() == Use::System {
            // SAFETY: the caller's promise is passed on.
            return unsafe { self.0.alloc_zeroed(layout) };
        }
        // SAFETY: as above; the block holds `size` bytes unless it is null.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                std::ptr::write_bytes(block, 0, layout.size());
            }
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if current() == Use::Measured {
            note(-(layout.size() as isize));
        }
        match owner(block) {
            // SAFETY: the address says that it came from this region, with this layout.
            Some(region) => unsafe { region.free(block, layout.align()) },
            // SAFETY: it came from `A`.
            None => unsafe { self.0.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size_bytes: usize) -> *mut u8 {
        if current() == Use::System && owner(block).is_none() {
            // SAFETY: the caller's promise is passed on.
            return unsafe { self.0.realloc(block, layout, size_bytes) };
        }
        // SAFETY: the caller promises that the new size is good for this alignment; both blocks hold what is copied.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size_bytes, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size().min(size_bytes));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_gives_and_takes_back() {
        let pool = Pool::reserve(Need { bytes: 10_000, allocations: 10 }).expect("a region is free");
        let allocator = Pooled(System);
        let layout = Layout::from_size_align(1000, 64).expect("a layout");
        let blocks: Vec<*mut u8> = pool.within(|| {
            // SAFETY: the layout is not empty.
            (0..5).map(|_| unsafe { allocator.alloc(layout) }).collect()
        });
        for block in blocks {
            assert!(owner(block).is_some() && (block as usize).is_multiple_of(64));
            // SAFETY: allocated above with this layout; outside the scope, as a cache of tract's might.
            unsafe { allocator.dealloc(block, layout) };
        }
        assert_eq!(REGIONS[pool.0].live.load(Ordering::Relaxed), 0);
        // SAFETY: the layout is not empty; freed at once.
        unsafe {
            let outside = allocator.alloc(layout);
            assert!(owner(outside).is_none());
            allocator.dealloc(outside, layout);
        }
    }

    #[test]
    fn what_does_not_fit_comes_from_the_system() {
        let pool = Pool::reserve(Need::default()).expect("a region is free");
        let allocator = Pooled(System);
        let layout = Layout::from_size_align(pool.bytes() + 1, 8).expect("a layout");
        // SAFETY: the layout is not empty; freed at once.
        pool.within(|| unsafe {
            let block = allocator.alloc(layout);
            assert!(!block.is_null() && owner(block).is_none());
            let block = allocator.realloc(block, layout, 100);
            assert!(owner(block).is_some());
            allocator.dealloc(block, Layout::from_size_align(100, 8).expect("a layout"));
        });
    }
}
