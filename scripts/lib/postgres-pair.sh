# shellcheck shell=bash
#
# The kind `postgres-pair`: a primary and a standby that has applied a change before the primary
# acknowledges it.

packages[postgres-pair]=postgresql
service[postgres-pair]=postgresql

have_postgres_pair() {
    have_postgres && [[ -x $postgres_bin/pg_basebackup ]]
}

start_postgres_pair() {
    local primary_port
    become postgres
    make_home pair-primary postgres
    make_home pair-standby postgres
    initialize_postgres pair-primary
    launch_postgres pair-primary
    exports+=("GUESTHOUSE_TEST_PAIR_PRIMARY=$(postgres_url)")
    primary_port=$port

    (
        cd "$state/pair-standby"
        "${as[@]}" "$postgres_bin/pg_basebackup" --pgdata=data --checkpoint=fast --no-sync \
            --write-recovery-conf --dbname="host=127.0.0.1 port=$primary_port user=postgres \
                application_name=pair_standby"
    ) >"$state/pair-standby.log" 2>&1 || give_up pair-standby
    launch_postgres pair-standby
    exports+=("GUESTHOUSE_TEST_PAIR_STANDBY=$(postgres_url)")

    # Not before the copy was made: a standby that is promoted has to commit without another. In the
    # file, because ALTER SYSTEM cannot change what the command line sets.
    cat >>"$state/pair-primary/data/postgresql.conf" <<'END'
synchronous_standby_names = 'pair_standby'
synchronous_commit = remote_apply
END
    port=$primary_port
    postgres_sql pair-primary "SELECT pg_reload_conf()" >/dev/null || give_up pair-primary
    wait_until_ready pair-primary pair_is_synchronous || give_up pair-primary
    say "postgres-pair is ready, its primary on port $port"
}

pair_is_synchronous() {
    [[ $(postgres_sql pair-primary "SELECT state, sync_state FROM pg_stat_replication") == \
        'streaming|sync' ]]
}

stop_postgres_pair() {
    stop_postgres_server pair-standby
    stop_postgres_server pair-primary
}
