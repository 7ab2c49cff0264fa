# lib.sh - what the project's scripts share. Sourced, never run.
#
# JIDOKA_CACHE (default ~/.cache/jidoka) holds everything that is downloaded or built outside the clone.
# Removing it is always safe: it is made again.
JIDOKA_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
JIDOKA_CACHE=${JIDOKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/jidoka}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }

# step NAME CMD... : run CMD under a heading and say how long it took
step() {
    local name=$1 start=$SECONDS; shift
    printf '\n== %s\n' "$name" >&2
    "$@" || die "failed: $name"
    printf '== %s: ok, %d s\n' "$name" $((SECONDS - start)) >&2
}

# have_package PKG: is this Debian package installed?
have_package() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

# need_packages PKG... : install those Debian packages that are missing, with apt where that is possible
need_packages() {
    local package missing=()
    for package; do have_package "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "this system has no apt-get; install the equivalents of: ${missing[*]}"
    local sudo=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "not root and no sudo; as root: apt-get install ${missing[*]}"
        sudo=sudo
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # The package lists may be old or absent: try as it is, then once more with fresh lists.
    $sudo apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { $sudo apt-get -qq update >&2 && $sudo apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null; } ||
        die "could not install: ${missing[*]}"
}

# have_libclang: is there a libclang that bindgen can load? (libclang-cpp, which LLVM's own packages bring, is another library.)
have_libclang() {
    local libraries
    libraries=$(ldconfig -p 2>/dev/null; ls /usr/lib/llvm-*/lib 2>/dev/null) || true
    grep -qE 'libclang(-[0-9.]+)?\.so' <<<"$libraries"
}

# newest_libclang: the name of the newest libclang package that apt knows; nothing where it knows none
newest_libclang() {
    { apt-cache pkgnames libclang1- 2>/dev/null | grep -E '^libclang1-[0-9]+$' | sort -t- -k2 -n | tail -n 1; } || true
}

# need_libclang: bindgen (through the v4l crate) reads the kernel's headers with libclang, whatever its version
need_libclang() {
    ! have_libclang || return 0
    local newest
    newest=$(newest_libclang)
    if [ -z "$newest" ]; then
        local sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
        $sudo apt-get -qq update >&2 || die "apt-get update failed"
        newest=$(newest_libclang)
    fi
    need_packages "${newest:-libclang1}"
    have_libclang || die "installed ${newest:-libclang1}, and still no libclang.so is found; set LIBCLANG_PATH to its folder"
}

# need_rust: a toolchain that is new enough for the workspace's rust-version
need_rust() {
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
    if ! command -v cargo >/dev/null; then
        need_packages rustup 2>/dev/null || die "no Rust toolchain; install one from https://rustup.rs and run this again"
        rustup default stable >&2 || die "rustup could not install a toolchain"
    fi
    local have want
    have=$(rustc --version | awk '{print $2}')
    want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$JIDOKA_ROOT/Cargo.toml")
    [ "$(printf '%s\n%s\n' "$want" "${have%%-*}" | sort -V | head -n 1)" = "$want" ] ||
        die "rustc $have is too old: the workspace needs $want or newer (rustup update stable)"
}

# need_build_tools: everything a native build needs
need_build_tools() {
    need_rust
    need_packages gcc libc6-dev pkg-config linux-libc-dev
    need_libclang
}

# need_nextest: the test runner
need_nextest() {
    cargo nextest --version >/dev/null 2>&1 && return 0
    say "building cargo-nextest (once, minutes)"
    cargo install --quiet --locked cargo-nextest || die "could not install cargo-nextest"
}
