//! Setting a simulated line, and an emergency stop, allocate nothing: the demo's zero would be worthless otherwise. Real back
//! ends are held to the same by `examples/pins_board.rs`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use embedded_hal::digital::{InputPin, OutputPin, PinState};
use jidoka_pins::{Edges, Gpio, InputSpec, OutputSpec, SimChip, Trip};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; the counter is a plain thread-local cell that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `alloc`'s contract, which is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_steady_state_allocates_nothing() {
    let chip = SimChip::new("sim", &["OUT", "IN", "SENSOR"], 64, || Duration::ZERO);
    let gpio = Gpio::simulated(std::slice::from_ref(&chip));
    let mut output = gpio.output(&OutputSpec::new("OUT")).unwrap();
    let mut input = gpio.input(&InputSpec::new("IN")).unwrap();
    let mut sensor = gpio.edges(&[InputSpec::new("SENSOR")], Edges::Both).unwrap();
    let trip = Trip::over([&output]);

    let before = ALLOCATIONS.get();
    // More edges than the record holds: losing them must not allocate either.
    for _ in 0..100 {
        output.set_high().unwrap();
        chip.drive("SENSOR", PinState::High);
        output.set_low().unwrap();
        chip.drive("SENSOR", PinState::Low);
        let _ = input.is_high().unwrap();
        let _ = sensor.wait(Duration::ZERO).unwrap();
    }
    trip.fire();
    let refused = output.set_high().is_err();
    assert_eq!(ALLOCATIONS.get(), before);
    assert!(refused);
    assert!(chip.lost() > 0);
    // The counter does count.
    drop(std::hint::black_box(Box::new(0u8)));
    assert!(ALLOCATIONS.get() > before);
}
