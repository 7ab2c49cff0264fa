use std::cell::RefCell;
use std::rc::Rc;
use std::vec::Vec;

use embedded_hal::digital::ErrorKind;

use super::*;

/// A pin that writes down what it is told, and may be broken.
#[derive(Clone, Default)]
struct Pin {
    told: Rc<RefCell<Vec<bool>>>,
    broken: bool,
}

impl ErrorType for Pin {
    type Error = ErrorKind;
}

impl Pin {
    fn tell(&mut self, high: bool) -> Result<(), ErrorKind> {
        if self.broken {
            return Err(ErrorKind::Other);
        }
        self.told.borrow_mut().push(high);
        Ok(())
    }
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), ErrorKind> {
        self.tell(false)
    }
    fn set_high(&mut self) -> Result<(), ErrorKind> {
        self.tell(true)
    }
}

#[test]
fn pins_are_told_once_of_each_change() {
    let pin = Pin::default();
    let mut outputs = Outputs::new().wire(Signal::Reject, Wire::new(pin.clone(), Polarity::ActiveHigh));
    let on = Levels::NONE.with(Signal::Reject, true);
    for levels in [Levels::NONE, Levels::NONE, on, on, Levels::NONE] {
        outputs.apply(levels).unwrap();
    }
    assert_eq!(*pin.told.borrow(), [false, true, false]);
}

#[test]
fn active_low_is_the_other_way_round() {
    let pin = Pin::default();
    let mut outputs = Outputs::new().wire(Signal::LineStop, Wire::new(pin.clone(), Polarity::ActiveLow));
    outputs.safe().unwrap();
    outputs.apply(Levels::NONE.with(Signal::LineStop, true)).unwrap();
    assert_eq!(*pin.told.borrow(), [true, false]);
}

#[test]
fn dropping_makes_safe_with_the_process_unwinding() {
    let (reject, stop) = (Pin::default(), Pin::default());
    let wires = (reject.clone(), stop.clone());
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let stop = Wire { on_when_safe: true, ..Wire::new(wires.1, Polarity::ActiveHigh) };
        let mut outputs =
            Outputs::new().wire(Signal::Reject, Wire::new(wires.0, Polarity::ActiveHigh)).wire(Signal::LineStop, stop);
        outputs.apply(Levels::NONE.with(Signal::Reject, true)).unwrap();
        panic!("something went wrong with the ejector on");
    }));
    assert!(unwound.is_err());
    assert_eq!((*reject.told.borrow()).last(), Some(&false));
    assert_eq!((*stop.told.borrow()).last(), Some(&true));
}

#[test]
fn one_broken_pin_does_not_keep_the_others_from_being_safe() {
    let good = Pin::default();
    let broken = Pin { broken: true, ..Pin::default() };
    let mut outputs = Outputs::new()
        .wire(Signal::Ready, Wire::new(broken, Polarity::ActiveHigh))
        .wire(Signal::Reject, Wire::new(good.clone(), Polarity::ActiveHigh));
    assert_eq!(outputs.safe(), Err(Signal::Ready));
    assert_eq!(*good.told.borrow(), [false]);
    assert_eq!(outputs.apply(Levels::NONE), Err(Signal::Ready), "it is tried again, and said again");
}
