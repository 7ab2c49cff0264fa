# debian.sh - take single packages of another Debian suite or architecture without installing them. Sourced after lib.sh.
#
# A private apt state under JIDOKA_CACHE: this machine's own apt never learns of the other suites.

# debian_mirror: the Debian mirror this machine already uses
debian_mirror() {
    local uri
    uri=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
        awk '/^URIs:/ && $2 !~ /security/ && $2 ~ /debian\/?$/ {print $2; exit}')
    [ -n "$uri" ] || uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        grep -E '^deb ' | grep -oE '[a-z]+://[^ ]*debian/?( |$)' | grep -v security | head -n 1 | tr -d ' ')
    [ -n "$uri" ] || die "found no Debian mirror in this machine's apt sources; set JIDOKA_DEBIAN_MIRROR"
    echo "$uri"
}

# suite_apt SUITE CMD... : run an apt command that sees SUITE (amd64 and arm64) and nothing else
suite_apt() {
    local suite=$1 dir=$JIDOKA_CACHE/apt/$1; shift
    if [ ! -e "$dir/ready" ] || [ -n "$(find "$dir/ready" -mtime +7)" ]; then
        mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
        : > "$dir/status"
        echo "deb [arch=amd64,arm64 target=Packages signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
            "${JIDOKA_DEBIAN_MIRROR:-$(debian_mirror)} $suite main" > "$dir/sources.list"
        cat > "$dir/apt.conf" <<-CONF
		Dir::State "$dir/state";
		Dir::State::status "$dir/status";
		Dir::Cache "$dir/cache";
		Dir::Etc::SourceList "$dir/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::Etc::PreferencesParts "/dev/null";
		APT::Architectures { "amd64"; "arm64"; };
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::Retries "3";
		CONF
        APT_CONFIG=$dir/apt.conf apt-get -qq update >&2 || die "apt could not read the suite $suite"
        touch "$dir/ready"
    fi
    APT_CONFIG=$dir/apt.conf "$@"
}

# unpack_packages SUITE DIR PKG[:ARCH][=VERSION]... : download and extract, never install
unpack_packages() {
    local suite=$1 dir=$2 tmp deb; shift 2
    mkdir -p "$JIDOKA_CACHE" "$dir"
    tmp=$(mktemp -d "$JIDOKA_CACHE/debs.XXXXXX")
    (cd "$tmp" && suite_apt "$suite" apt-get -qq download "$@") >&2 ||
        { rm -rf "$tmp"; die "could not download $* from $suite"; }
    for deb in "$tmp"/*.deb; do
        say "$(basename "$deb"): $(($(stat -c %s "$deb") / 1000000)) MB"
        dpkg -x "$deb" "$dir"
    done
    rm -rf "$tmp"
}
