//! Sleeping to an absolute moment while listening for news: what the actuator thread does all day.
//!
//! A relative time-out would be wrong by however long the thread was not scheduled between reading the clock and going
//! to sleep; so the deadline is armed in a timerfd on the monotonic clock, and news come through an eventfd.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{Errno, read, write};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Wakes a [`Sleeper`] from any thread. Ringing neither allocates nor blocks.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// A bell that nobody has rung.
    pub fn new() -> io::Result<Bell> {
        Ok(Bell(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    /// Wakes the sleeper, now or when it next goes to sleep.
    pub fn ring(&self) {
        // The only failure of a non-blocking eventfd is a full counter, and then it is rung already.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }
}

/// Sleeps until a moment, a bell, or (if given) another file's news.
#[derive(Debug)]
pub struct Sleeper {
    timer: OwnedFd,
}

/// Bell, timer, and what eight inputs need.
const WATCHED: usize = 10;

/// A deadline that no station lives to see, for "only when something happens".
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

impl Sleeper {
    /// A sleeper with its own timer.
    pub fn new() -> io::Result<Sleeper> {
        Ok(Sleeper {
            timer: timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?,
        })
    }

    /// Sleeps until `deadline` on the monotonic clock (`None`: for as long as it takes), until `bell` rings or has been
    /// rung, or until one of `others` (at most eight) has what it is polled for. May wake early; the caller reads the
    /// clock again anyway.
    pub fn sleep<'a>(
        &'a self,
        deadline: Option<Duration>,
        bell: &'a Bell,
        others: impl Iterator<Item = (BorrowedFd<'a>, PollFlags)>,
    ) -> io::Result<()> {
        let deadline = deadline.unwrap_or(NEVER);
        let at = Timespec {
            tv_sec: deadline.as_secs() as i64,
            // A timer set to zero is a timer switched off; a deadline in the past has to fire at once.
            tv_nsec: i64::from(deadline.subsec_nanos().max(u32::from(deadline.is_zero()))),
        };
        let setting = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &setting)?;
        // The places that nobody takes watch the bell for nothing.
        let mut watched: [PollFd<'_>; WATCHED] =
            std::array::from_fn(|_| PollFd::from_borrowed_fd(bell.0.as_fd(), PollFlags::empty()));
        let own = [(bell.0.as_fd(), PollFlags::IN), (self.timer.as_fd(), PollFlags::IN)];
        for (place, (fd, flags)) in watched.iter_mut().zip(own.into_iter().chain(others)) {
            *place = PollFd::from_borrowed_fd(fd, flags);
        }
        match poll(&mut watched, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut count = [0_u8; 8];
        let _ = read(&bell.0, &mut count); // empties the bell; EAGAIN where it was the timer
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock::now;

    /// Sleeps until `ahead` from now, with the bell rung before or not; says whether the moment had come.
    fn check(ahead: Option<Duration>, rung: bool) -> bool {
        let (bell, sleeper) = (Bell::new().expect("eventfd"), Sleeper::new().expect("timerfd"));
        if rung {
            bell.ring();
            bell.ring();
        }
        let deadline = ahead.map(|ahead| now() + ahead);
        sleeper.sleep(deadline, &bell, std::iter::empty()).expect("sleeps");
        deadline.is_some_and(|deadline| now() >= deadline)
    }

    #[test]
    fn never_wakes_before_the_moment_without_a_bell() {
        assert!(check(Some(Duration::from_millis(3)), false));
        assert!(check(Some(Duration::ZERO), false));
    }

    #[test]
    fn a_moment_long_past_wakes_at_once() {
        let (bell, sleeper) = (Bell::new().expect("eventfd"), Sleeper::new().expect("timerfd"));
        sleeper.sleep(Some(Duration::ZERO), &bell, std::iter::empty()).expect("sleeps");
        sleeper.sleep(Some(Duration::from_nanos(1)), &bell, std::iter::empty()).expect("sleeps");
    }

    #[test]
    fn a_bell_rung_before_the_sleep_is_not_lost() {
        assert!(!check(None, true));
        assert!(!check(Some(Duration::from_secs(3600)), true));
    }
}
