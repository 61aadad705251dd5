//! An allocator that counts, to show that the steady state allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The system's allocator, with two counters that run while [`counted`] does.
pub struct Counting;

static RUNNING: AtomicBool = AtomicBool::new(false);
static EVERYWHERE: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static HERE: Cell<u64> = const { Cell::new(0) };
}

/// The allocations of all threads during `work`.
pub fn counted(work: impl FnOnce()) -> u64 {
    let before = EVERYWHERE.load(Relaxed);
    RUNNING.store(true, Relaxed);
    work();
    RUNNING.store(false, Relaxed);
    EVERYWHERE.load(Relaxed) - before
}

/// The allocations of this thread during `work`; they are counted only within [`counted`].
pub fn counted_here(work: impl FnOnce()) -> u64 {
    let before = HERE.get();
    work();
    HERE.get() - before
}

fn note() {
    if RUNNING.load(Relaxed) {
        EVERYWHERE.fetch_add(1, Relaxed);
        // A thread that is ending has no counter left; its allocations count for the process.
        let _ = HERE.try_with(|here| here.set(here.get() + 1));
    }
}

// Counting allocations takes a `GlobalAlloc`, and that trait is unsafe. Every call is handed on
// unchanged to the system's allocator, so its promises are kept.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        unsafe { System.realloc(pointer, layout, size) }
    }
}
