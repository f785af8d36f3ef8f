# shellcheck shell=bash
#
# The kind `pgbouncer`: PgBouncer in transaction mode before a PostgreSQL of its own. It gives a
# session to one client after the other, and knows nothing of their prepared statements.

packages[pgbouncer]="pgbouncer postgresql"
service[pgbouncer]=pgbouncer

have_pgbouncer() {
    have_postgres && PATH=$search_path type -P pgbouncer >/dev/null
}

start_pgbouncer() {
    start_pooler pgbouncer ''
}

start_pooler() { # PROGRAM SETTING
    local server
    become postgres
    make_home pgbouncer-server postgres
    initialize_postgres pgbouncer-server
    launch_postgres pgbouncer-server
    server=$port
    make_home pgbouncer postgres
    while :; do
        port=$(free_ports 1)
        configure_pgbouncer "$server" "$port" "$2"
        launch pgbouncer "${as[@]}" "${note_pid[@]}" "$1" pgbouncer.ini
        if wait_until_ready pgbouncer "${as[@]}" "$postgres_bin/psql" --no-psqlrc --quiet \
            -h "$state/pgbouncer" -p "$port" -U postgres -c 'SELECT 1' postgres; then
            break
        fi
        lost_port pgbouncer || give_up pgbouncer
    done
    exports+=(
        "GUESTHOUSE_TEST_PGBOUNCER=$(postgres_url)"
        "GUESTHOUSE_TEST_BEHIND_PGBOUNCER=postgres://postgres@127.0.0.1:$server/postgres"
    )
    say "pgbouncer is ready on port $port"
}

configure_pgbouncer() { # PORT_OF_THE_SERVER PORT SETTING
    local home=$state/pgbouncer
    # shellcheck disable=SC2016 # for the inner shell to expand
    "${as[@]}" sh -c 'cat >"$1/pgbouncer.ini" && echo "\"postgres\" \"\"" >"$1/users"' sh "$home" <<END
[databases]
* = host=127.0.0.1 port=$1
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $2
unix_socket_dir = $home
auth_type = trust
auth_file = $home/users
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = extra_float_digits
$3
END
}

stop_pgbouncer() {
    stop_process pgbouncer QUIT
    stop_postgres_server pgbouncer-server
}
