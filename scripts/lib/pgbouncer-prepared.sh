# shellcheck shell=bash
#
# The kind `pgbouncer-prepared`: as `pgbouncer`, in a version that keeps the prepared statements of
# its clients apart. Debian 12 does not have one, so it is built from the source that Debian 13 has.

packages[pgbouncer-prepared]="pgbouncer postgresql gcc make pkg-config libevent-dev libssl-dev"
service[pgbouncer-prepared]=pgbouncer

pgbouncer_source=pgbouncer_1.24.1.orig.tar.gz
pgbouncer_sum=da72a3aba13072876d055a3e58dd4aba4a5de4ed6148e73033185245598fd3e0
pgbouncer_built=/var/tmp/guesthouse-$EUID/pgbouncer-1.24.1

have_pgbouncer_prepared() {
    have_pgbouncer && type -P gcc make >/dev/null && pkg-config --exists libevent openssl
}

start_pgbouncer_prepared() {
    [[ -x $pgbouncer_built/pgbouncer ]] || build_pgbouncer
    start_pooler "$pgbouncer_built/pgbouncer" 'max_prepared_statements = 200'
}

stop_pgbouncer_prepared() {
    stop_pgbouncer
}

# It is built beside its place and moved there whole.
build_pgbouncer() {
    local scratch status=0
    say "building ${pgbouncer_source%.orig*}"
    mkdir -p "$(dirname "$pgbouncer_built")"
    scratch=$(mktemp -d "$pgbouncer_built.XXXXXX")
    (
        set -e
        cd "$scratch"
        /usr/lib/apt/apt-helper -qq download-file \
            "http://deb.debian.org/debian/pool/main/p/pgbouncer/$pgbouncer_source" \
            source.tar.gz "SHA256:$pgbouncer_sum"
        tar -xzf source.tar.gz --strip-components=1
        ./configure --quiet --without-cares --without-pam --without-systemd
        make --silent -j2 pgbouncer
        chmod -R a+rX .
    ) >"$state/pgbouncer-build.log" 2>&1 || status=$?
    if ((status == 0)); then
        mv -T "$scratch" "$pgbouncer_built" 2>/dev/null || [[ -x $pgbouncer_built/pgbouncer ]]
        return
    fi
    tail -n 20 "$state/pgbouncer-build.log" >&2
    rm -rf -- "$scratch"
    die "PgBouncer could not be built"
}
