//! The output pins: which signals there are, how each is wired, and how all become safe.
//!
//! Relies on: nothing but the pins. The owner of [`Outputs`] is the only writer of its pins; dropping it makes them safe.

use embedded_hal::digital::{ErrorType, OutputPin};

/// The signals that a station can give. Any of them may be left unwired.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Signal {
    /// The station inspects; a PLC should run the line only while this is on.
    Ready = 0,
    /// At least one part waits for its verdict.
    Busy = 1,
    /// Pass or Fail show a new result.
    ResultValid = 2,
    /// The last result was good.
    Pass = 3,
    /// The last result was not good.
    Fail = 4,
    /// The reject ejector (or, wired energise-to-pass, the gate that lets parts through).
    Reject = 5,
    /// The second ejector (for example rework).
    Eject1 = 6,
    /// The third ejector (for example sample).
    Eject2 = 7,
    /// A part was missed.
    Missed = 8,
    /// At least one alarm stands unacknowledged.
    Alarm = 9,
    /// Changes at each completed inspection, and at nothing else.
    Heartbeat = 10,
    /// The line must stop.
    LineStop = 11,
    /// Illumination.
    Strobe = 12,
    /// Exposes the camera.
    CameraTrigger = 13,
}

impl Signal {
    /// How many there are.
    pub const COUNT: usize = 14;

    /// Each of them.
    pub const ALL: [Signal; Signal::COUNT] = [
        Signal::Ready,
        Signal::Busy,
        Signal::ResultValid,
        Signal::Pass,
        Signal::Fail,
        Signal::Reject,
        Signal::Eject1,
        Signal::Eject2,
        Signal::Missed,
        Signal::Alarm,
        Signal::Heartbeat,
        Signal::LineStop,
        Signal::Strobe,
        Signal::CameraTrigger,
    ];

    /// The name used in configs and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::Ready => "ready",
            Signal::Busy => "busy",
            Signal::ResultValid => "result_valid",
            Signal::Pass => "pass",
            Signal::Fail => "fail",
            Signal::Reject => "reject",
            Signal::Eject1 => "eject1",
            Signal::Eject2 => "eject2",
            Signal::Missed => "missed",
            Signal::Alarm => "alarm",
            Signal::Heartbeat => "heartbeat",
            Signal::LineStop => "line_stop",
            Signal::Strobe => "strobe",
            Signal::CameraTrigger => "camera_trigger",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Which signals are on, as one value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Levels(u16);

impl Levels {
    /// All off.
    pub const NONE: Levels = Levels(0);

    /// These, and `signal` where `on`.
    #[must_use]
    pub const fn with(self, signal: Signal, on: bool) -> Levels {
        if on { Levels(self.0 | signal.bit()) } else { Levels(self.0 & !signal.bit()) }
    }

    /// Whether `signal` is on.
    pub const fn has(self, signal: Signal) -> bool {
        self.0 & signal.bit() != 0
    }

    const fn differs(self, other: Levels) -> u16 {
        self.0 ^ other.0
    }
}

/// The level at which a signal counts as on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Polarity {
    /// High is on.
    #[default]
    ActiveHigh,
    /// Low is on.
    ActiveLow,
}

/// How the reject ejector is wired.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Wiring {
    /// The ejector acts while the signal is on. Without power or process nothing is ejected, so Ready must gate the line.
    #[default]
    EnergiseToReject,
    /// The gate lets a part through only while the signal is on. Without power or process everything is rejected.
    EnergiseToPass,
}

/// One wired signal.
pub struct Wire<P> {
    /// The pin.
    pub pin: P,
    /// Which level is on.
    pub polarity: Polarity,
    /// Whether the signal is on in the safe state. Off for everything unless wired otherwise on purpose (for example a
    /// line-stop that must be asserted when the inspector ends).
    pub on_when_safe: bool,
}

impl<P> Wire<P> {
    /// A pin that is off in the safe state.
    pub const fn new(pin: P, polarity: Polarity) -> Wire<P> {
        Wire { pin, polarity, on_when_safe: false }
    }
}

/// The pins of one station.
pub struct Outputs<P: OutputPin> {
    wires: [Option<Wire<P>>; Signal::COUNT],
    applied: Levels,
    /// Signals whose pin may not be at the level in `applied`: never set yet, or the last setting failed.
    unsure: u16,
}

impl<P: OutputPin> Outputs<P> {
    /// No signal wired.
    pub const fn new() -> Self {
        Outputs { wires: [const { None }; Signal::COUNT], applied: Levels::NONE, unsure: u16::MAX }
    }

    /// Wires `signal`; the last wiring of a signal counts. The pin is not touched until [`Outputs::safe`] or
    /// [`Outputs::apply`].
    #[must_use]
    pub fn wire(mut self, signal: Signal, wire: Wire<P>) -> Self {
        if let Some(place) = self.wires.get_mut(signal as usize) {
            *place = Some(wire);
        }
        self
    }

    /// Whether `signal` has a pin.
    pub fn is_wired(&self, signal: Signal) -> bool {
        self.wires.get(signal as usize).is_some_and(Option::is_some)
    }

    /// What the pins show.
    pub const fn levels(&self) -> Levels {
        self.applied
    }

    /// Sets every pin that does not show its signal of `levels` yet.
    ///
    /// # Errors
    /// The first signal whose pin could not be set. All others are set nevertheless; the failed one is tried again at the
    /// next call.
    pub fn apply(&mut self, levels: Levels) -> Result<(), Signal> {
        let changed = levels.differs(self.applied) | self.unsure;
        if changed == 0 {
            return Ok(());
        }
        let mut failed = None;
        for (signal, place) in Signal::ALL.into_iter().zip(self.wires.iter_mut()) {
            if changed & signal.bit() == 0 {
                continue;
            }
            let set = match place {
                Some(wire) => wire.set(levels.has(signal)),
                None => Ok(()),
            };
            match set {
                Ok(()) => self.unsure &= !signal.bit(),
                Err(()) => {
                    self.unsure |= signal.bit();
                    failed = failed.or(Some(signal));
                }
            }
        }
        self.applied = levels;
        failed.map_or(Ok(()), Err)
    }

    /// Puts every pin into its safe state, whatever was applied before; a pin that fails does not keep the others from it.
    ///
    /// # Errors
    /// The first signal whose pin could not be set.
    pub fn safe(&mut self) -> Result<(), Signal> {
        let mut levels = Levels::NONE;
        for (signal, place) in Signal::ALL.into_iter().zip(self.wires.iter()) {
            levels = levels.with(signal, place.as_ref().is_some_and(|wire| wire.on_when_safe));
        }
        self.unsure = u16::MAX;
        self.apply(levels)
    }
}

impl<P: OutputPin> Wire<P> {
    fn set(&mut self, on: bool) -> Result<(), ()> {
        let high = on == (self.polarity == Polarity::ActiveHigh);
        let result = if high { self.pin.set_high() } else { self.pin.set_low() };
        result.map_err(|_| ())
    }
}

impl<P: OutputPin> Default for Outputs<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: OutputPin> Drop for Outputs<P> {
    fn drop(&mut self) {
        // Nobody is left to tell about a pin that fails now; the kernel releases the line next.
        let _ = self.safe();
    }
}

/// A pin that is not there: takes every level and does nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoPin;

impl ErrorType for NoPin {
    type Error = core::convert::Infallible;
}

impl OutputPin for NoPin {
    fn set_low(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
