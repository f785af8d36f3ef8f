# shellcheck shell=bash
#
# The kind `mariadb`, and what it shares with the nodes of `galera`.

packages[mariadb]=mariadb-server
service[mariadb]=mariadb

have_mariadb() {
    PATH=$search_path type -P mariadbd mariadb-install-db mariadb-admin >/dev/null
}

start_mariadb() {
    local home=$state/mariadb port
    become mysql
    make_home mariadb mysql
    install_mariadb mariadb

    while :; do
        port=$(free_ports 1)
        # --no-defaults has to come first; it keeps /etc/mysql and ~/.my.cnf out.
        launch mariadb "${as[@]}" "${note_pid[@]}" mariadbd --no-defaults \
            --datadir="$home/data" \
            --tmpdir="$home" \
            --socket="$home/sock" \
            --port="$port" \
            "${mariadb_options[@]}"
        if wait_until_ready mariadb "${as[@]}" \
            mariadb-admin --no-defaults --socket="$home/sock" --user=root ping; then
            break
        fi
        lost_port mariadb || give_up mariadb
    done
    exports+=("GUESTHOUSE_TEST_MARIADB=mysql://root@127.0.0.1:$port/mysql")
    say "mariadb is ready on port $port"
}

# Killed: there is nothing to save, nothing of it lies outside of our directory, and MariaDB is deaf
# to TERM while it starts.
stop_mariadb() {
    stop_process mariadb KILL
}

# The installation is given the log size too, as the server would otherwise have to rewrite its log.
mariadb_log_size=--innodb-log-file-size=32M

# With 2, what was committed outlives a killed server but not the loss of power.
mariadb_options=(
    "$mariadb_log_size"
    --bind-address=127.0.0.1
    --innodb-buffer-pool-size=64M
    --innodb-flush-log-at-trx-commit=2
    --skip-name-resolve
    --skip-log-bin
    --performance-schema=OFF
    --max-connections=500
    --character-set-server=utf8mb4
)

install_mariadb() { # NAME
    (
        cd "$state/$1"
        "${as[@]}" mariadb-install-db --no-defaults --datadir="$state/$1/data" \
            --tmpdir="$state/$1" "$mariadb_log_size" \
            --auth-root-authentication-method=normal --skip-test-db
    ) >"$state/$1.log" 2>&1 || give_up "$1"
}
