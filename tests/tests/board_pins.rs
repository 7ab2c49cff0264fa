//! Every way to a GPIO line on real drivers: the v2 ABI and sysfs on a new kernel's gpio-sim chip; v1, v2 and sysfs on an older
//! kernel that still has all three, with the PL061 chip that QEMU emulates.

use jidoka_tests::board::{Unavailable, boot_script, pins_program};

const BOOT_LIMIT_S: u32 = 1200;

/// Runs `script` on `board`; it must say that everything held, once for each back end.
#[track_caller]
fn check(board: &str, script: &str, backends: &[&str]) {
    let program = match pins_program() {
        Ok(program) => program,
        Err(Unavailable(reason)) => {
            assert!(std::env::var_os("CI").is_none(), "pins on {board} may not be skipped in CI: {reason}");
            eprintln!("pins on {board}: skipped: {reason}");
            return;
        }
    };
    let boot = boot_script(board, &program, script, BOOT_LIMIT_S).expect("tests/board/boot starts");
    println!("{}", boot.output);
    if boot.code == KERNEL_MISSING && std::env::var_os("CI").is_none() {
        eprintln!("pins on {board}: skipped: its kernel cannot be had here, see above");
        return;
    }
    assert_eq!(boot.code, 0, "pins_board failed on {board}");
    for backend in backends {
        assert!(boot.output.contains(&format!("all held: {backend}")), "{backend} was not tried");
    }
}

/// What `tests/board/boot` ends with when the kernel could not be fetched.
const KERNEL_MISSING: i32 = 69;

#[test]
fn v2_and_sysfs_hold_on_gpio_sim() {
    let script = "pins_board sim v2 sim $BOARD_GPIO_SYSFS && pins_board sim sysfs sim $BOARD_GPIO_SYSFS";
    check("aarch64", script, &["v2", "sysfs"]);
}

#[test]
fn v1_v2_and_sysfs_hold_on_a_kernel_that_has_all_three() {
    let script = "for b in v1 v2 sysfs; do pins_board plain $b 9030000.pl061 0 || exit 1; done";
    check("aarch64-v1", script, &["v1", "v2", "sysfs"]);
}
