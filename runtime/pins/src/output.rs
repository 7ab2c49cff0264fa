//! Outputs: a line that is driven, its safe state, and the emergency stop over several of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use embedded_hal::digital::{ErrorType, OutputPin, PinState, StatefulOutputPin};
use linux_embedded_hal::CdevPin;

use crate::sim::SimLine;
use crate::sysfs::SysfsLine;
use crate::{Cause, PinError, v1, v2};

/// A requested line, whichever way it is reached. Levels are logical.
pub(crate) enum Wire {
    /// The kernel undoes active-low. The request may hold other lines of the same chip.
    V2 {
        request: Arc<gpiocdev::Request>,
        offset: u32,
    },
    V1 {
        pin: CdevPin,
        invert: bool,
    },
    Sysfs {
        pin: SysfsLine,
        invert: bool,
    },
    Sim {
        line: SimLine,
        invert: bool,
    },
}

impl Wire {
    /// Drive the line. One system call, no allocation, no lock. The error is the kernel's number.
    pub(crate) fn set(&self, active: bool) -> Result<(), i32> {
        match self {
            Wire::V2 { request, offset } => {
                request.set_value(*offset, v2::value(active)).map_err(|error| v2::errno(&error))
            }
            Wire::V1 { pin, invert } => {
                pin.set_value(u8::from(active ^ invert)).map_err(|error| v1::last_errno(&error))
            }
            Wire::Sysfs { pin, invert } => pin.set_level(active ^ invert).map_err(|error| errno(&error)),
            Wire::Sim { line, invert } => {
                line.chip.set(line.offset, active ^ invert);
                Ok(())
            }
        }
    }

    /// Read the line's level back.
    pub(crate) fn get(&self) -> Result<bool, i32> {
        match self {
            Wire::V2 { request, offset } => match request.value(*offset) {
                Ok(value) => Ok(value == gpiocdev::line::Value::Active),
                Err(error) => Err(v2::errno(&error)),
            },
            Wire::V1 { pin, invert } => match pin.get_value() {
                Ok(value) => Ok((value != 0) ^ invert),
                Err(error) => Err(v1::last_errno(&error)),
            },
            Wire::Sysfs { pin, invert } => pin.level().map(|level| level ^ invert).map_err(|error| errno(&error)),
            Wire::Sim { line, invert } => Ok(line.chip.is_high(line.offset) ^ invert),
        }
    }
}

pub(crate) fn errno(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error())
}

/// What an [`Output`] and the [`Trip`]s over it share.
struct Shared {
    line: Arc<str>,
    wire: Wire,
    safe: bool,
    tripped: AtomicBool,
}

impl Shared {
    fn error(&self, cause: Cause) -> PinError {
        PinError { line: self.line.clone(), cause }
    }

    fn set(&self, active: bool) -> Result<(), PinError> {
        self.wire.set(active).map_err(|errno| self.error(Cause::Os(errno)))
    }
}

/// A line that this process drives. It starts safe, and is made safe again when dropped.
pub struct Output {
    shared: Arc<Shared>,
    active: bool,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("line", &self.shared.line).field("active", &self.active).finish()
    }
}

impl Output {
    pub(crate) fn new(line: Arc<str>, wire: Wire, safe: PinState) -> Self {
        let safe = safe == PinState::High;
        Output { shared: Arc::new(Shared { line, wire, safe, tripped: AtomicBool::new(false) }), active: safe }
    }

    /// The line's address, e.g. `lab/LAB3`.
    pub fn line(&self) -> &str {
        &self.shared.line
    }

    /// Drive the line to a logical level. Allocation-free; a tripped output refuses and stays safe.
    pub fn set(&mut self, state: PinState) -> Result<(), PinError> {
        let active = state == PinState::High;
        if self.shared.tripped.load(Ordering::SeqCst) {
            return Err(self.shared.error(Cause::Tripped));
        }
        self.shared.set(active)?;
        self.active = active;
        // A trip that fired between the check and the write may have been overwritten: undo the write. A trip that
        // fires after this check writes the safe level itself.
        if self.shared.tripped.load(Ordering::SeqCst) {
            self.make_safe()?;
            return Err(self.shared.error(Cause::Tripped));
        }
        Ok(())
    }

    /// Drive the line to its safe level.
    pub fn make_safe(&mut self) -> Result<(), PinError> {
        self.active = self.shared.safe;
        self.shared.set(self.shared.safe)
    }

    /// Read the level back from the driver (logical), which is more than the level last set: it is what the chip says.
    pub fn read_back(&self) -> Result<PinState, PinError> {
        match self.shared.wire.get() {
            Ok(active) => Ok(PinState::from(active)),
            Err(errno) => Err(self.shared.error(Cause::Os(errno))),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // An error here has no one to go to; the kernel's release of the line follows.
        let _ = self.make_safe();
    }
}

impl ErrorType for Output {
    type Error = PinError;
}

impl OutputPin for Output {
    fn set_low(&mut self) -> Result<(), PinError> {
        self.set(PinState::Low)
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        self.set(PinState::High)
    }
}

impl StatefulOutputPin for Output {
    fn is_set_high(&mut self) -> Result<bool, PinError> {
        Ok(self.active)
    }

    fn is_set_low(&mut self) -> Result<bool, PinError> {
        Ok(!self.active)
    }
}

/// An emergency stop: makes a set of outputs safe from any thread, a panic hook or a signal handler, while their owner
/// still has them, and keeps them safe. It makes only system calls on memory that is already there.
#[derive(Clone)]
pub struct Trip {
    lines: Arc<[Arc<Shared>]>,
}

impl Trip {
    /// A trip over these outputs. It keeps their lines requested for as long as it lives.
    pub fn over<'a>(outputs: impl IntoIterator<Item = &'a Output>) -> Self {
        Trip { lines: outputs.into_iter().map(|output| output.shared.clone()).collect() }
    }

    /// Make every output safe, for good. Returns how many lines the kernel would not set.
    pub fn fire(&self) -> usize {
        for line in self.lines.iter() {
            line.tripped.store(true, Ordering::SeqCst);
        }
        self.lines.iter().filter(|line| line.wire.set(line.safe).is_err()).count()
    }

    /// Has it fired?
    pub fn has_fired(&self) -> bool {
        self.lines.iter().any(|line| line.tripped.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Gpio, OutputSpec, SimChip};

    fn chip() -> SimChip {
        SimChip::new("sim", &["A", "B"], 4096, || Duration::ZERO)
    }

    #[test]
    fn tripped_output_stays_safe() {
        let chip = chip();
        let gpio = Gpio::simulated(std::slice::from_ref(&chip));
        let specs = [OutputSpec::new("A"), OutputSpec { safe: PinState::High, ..OutputSpec::new("B") }];
        let mut outputs = gpio.outputs(&specs).unwrap();
        let trip = Trip::over(&outputs);
        outputs[0].set_high().unwrap();
        outputs[1].set_low().unwrap();
        assert_eq!(trip.fire(), 0);
        assert_eq!((chip.level("A"), chip.level("B")), (Some(PinState::Low), Some(PinState::High)));
        let refused = outputs[0].set_high().unwrap_err();
        assert_eq!(refused.cause, Cause::Tripped);
        assert_eq!(refused.to_string(), "gpio line \"sim/A\": held in its safe state since the emergency stop");
        assert_eq!(chip.level("A"), Some(PinState::Low));
        assert!(trip.has_fired());
    }

    #[test]
    fn a_trip_racing_the_owner_always_ends_safe() {
        for _ in 0..20 {
            let chip = chip();
            let gpio = Gpio::simulated(std::slice::from_ref(&chip));
            let mut output = gpio.output(&OutputSpec::new("A")).unwrap();
            let trip = Trip::over([&output]);
            std::thread::scope(|scope| {
                scope.spawn(|| while output.set_high().is_ok() {});
                scope.spawn(|| trip.fire());
            });
            assert_eq!(chip.level("A"), Some(PinState::Low));
        }
    }
}
