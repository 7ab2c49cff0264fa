//! Page faults of the calling thread, as the kernel counts them.

/// Page faults (those that needed a disk and those that did not) of the calling thread since it began.
pub fn of_this_thread() -> u64 {
    // SAFETY: an all-zero `rusage` is a valid value: it is made of integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is writable and of the type that the call fills; it cannot fail for RUSAGE_THREAD.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
    (usage.ru_minflt + usage.ru_majflt) as u64
}

/// Resident memory of this process in bytes, from `/proc`; 0 where that cannot be read.
pub fn resident_bytes() -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_fresh_memory_faults_and_touching_it_again_does_not() {
        let bytes = 64 * rustix::param::page_size();
        let before = of_this_thread();
        let mut memory = vec![0_u8; bytes * 8];
        memory.iter_mut().step_by(4096).for_each(|byte| *byte = std::hint::black_box(1));
        let fresh = of_this_thread();
        assert!(fresh > before);
        memory.iter_mut().step_by(4096).for_each(|byte| *byte = std::hint::black_box(2));
        assert!(of_this_thread() - fresh < fresh - before);
        assert!(resident_bytes() > 0);
    }
}
