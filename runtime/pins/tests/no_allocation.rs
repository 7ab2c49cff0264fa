//! Setting a simulated line, and an emergency stop, allocate nothing: the demo's zero would be worthless otherwise. Real back
//! ends are held to the same by `examples/pins_board.rs`.

use std::time::Duration;

use embedded_hal::digital::{InputPin, OutputPin, PinState};
use jidoka_pins::{Edges, Gpio, InputSpec, OutputSpec, SimChip, Trip};
use jidoka_test_support::{Counting, allocations};

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

    let before = allocations();
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
    assert_eq!(allocations(), before);
    assert!(refused);
    assert!(chip.lost() > 0);
    // The counter does count.
    drop(std::hint::black_box(Box::new(0u8)));
    assert!(allocations() > before);
}
