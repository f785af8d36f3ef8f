# shellcheck shell=bash
#
# The kind `galera`: three MariaDB servers that hold the same data and all accept writes.

packages[galera]='mariadb-server galera-4 rsync'
service[galera]=mariadb

galera_nodes=(galera-1 galera-2 galera-3)

have_galera() {
    galera_library=/usr/lib/galera/libgalera_smm.so
    [[ -e $galera_library ]] && have_mariadb &&
        PATH=$search_path type -P mariadb rsync >/dev/null
}

start_galera() {
    local sql_ports group_ports ist_ports sst_ports cluster port number=1
    become mysql
    until try_to_start_galera; do
        stop_galera
        rm -rf "${galera_nodes[@]/#/$state/}"
    done
    for port in "${sql_ports[@]}"; do
        exports+=("GUESTHOUSE_TEST_GALERA_$number=mysql://root@127.0.0.1:$port/mysql")
        number=$((number + 1))
    done
    say "galera is ready on ports ${sql_ports[*]}"
}

# Fails if another process took a port.
try_to_start_galera() {
    local node ports
    read -ra ports < <(free_ports 12)
    sql_ports=("${ports[@]:0:3}")
    group_ports=("${ports[@]:3:3}")
    ist_ports=("${ports[@]:6:3}")
    sst_ports=("${ports[@]:9:3}")
    cluster=$(printf ',127.0.0.1:%s' "${group_ports[@]}")
    for node in "${galera_nodes[@]}"; do
        make_home "$node" mysql
    done

    # A node that was once in the cluster and left it in order joins faster than an empty one, and a
    # copy of it does so too, as it needs no transfer of the whole state. The cache stays behind: it
    # names the node that it belongs to.
    install_mariadb galera-1
    launch_galera 0 --wsrep-new-cluster
    wait_for_galera galera-1 '1 Synced ON' || return 1
    stop_process galera-1 TERM
    rm -f "$state/galera-1/data/"{galera.cache,gvwstate.dat}
    for node in galera-2 galera-3; do
        cp -a "$state/galera-1/data" "$state/$node/data"
    done

    launch_galera 0 --wsrep-new-cluster
    wait_for_galera galera-1 '1 Synced ON' || return 1
    launch_galera 1
    wait_for_galera galera-2 '2 Synced ON' || return 1
    launch_galera 2
    # The last first, as only the node that does not start says why.
    for node in galera-3 galera-2 galera-1; do
        wait_for_galera "$node" '3 Synced ON' || return 1
    done
}

# Starts a node. What only its first start is given is not remembered for `relaunch`.
launch_galera() { # INDEX [FIRST_START_OPTION]
    local node=${galera_nodes[$1]} command
    command=("${as[@]}" "${note_pid[@]}" mariadbd --no-defaults
        --datadir="$state/$node/data"
        --tmpdir="$state/$node"
        --socket="$state/$node/sock"
        --port="${sql_ports[$1]}"
        "${mariadb_options[@]}"
        --binlog-format=ROW
        --innodb-autoinc-lock-mode=2
        --wsrep-on=ON
        --wsrep-provider="$galera_library"
        --wsrep-provider-options="$(galera_options "$1")"
        --wsrep-cluster-name=guesthouse
        --wsrep-cluster-address="gcomm://${cluster#,}"
        --wsrep-node-name="$node"
        --wsrep-node-address="127.0.0.1:${group_ports[$1]}"
        --wsrep-sst-method=rsync
        --wsrep-sst-receive-address="127.0.0.1:${sst_ports[$1]}"
        --wsrep-slave-threads=2)
    launch "$node" "${command[@]}" "${@:2}"
    remember "$node" "${command[@]}"
}

# The timers are for a network without delays: a node that died is given up after 2 seconds instead
# of 5, and the first node of a cluster waits for others 0.5 seconds instead of 3.
galera_options() { # INDEX
    local options=(
        "base_port=${group_ports[$1]}"
        "gmcast.listen_addr=tcp://127.0.0.1:${group_ports[$1]}"
        "ist.recv_addr=127.0.0.1:${ist_ports[$1]}"
        gcache.size=16M
        pc.announce_timeout=PT0.5S
        evs.join_retrans_period=PT0.1S
        evs.keepalive_period=PT0.5S
        evs.inactive_check_period=PT0.25S
        evs.delay_margin=PT0.2S
        evs.suspect_timeout=PT2S
        evs.inactive_timeout=PT5S
        evs.install_timeout=PT2S
    )
    (
        IFS=';'
        echo "${options[*]}"
    )
}

wait_for_galera() { # NODE STATUS
    wait_until_ready "$1" galera_has_status "$@" && return 0
    lost_port "$1" || give_up "$1"
    return 1
}

galera_has_status() { # NODE "SIZE_OF_CLUSTER STATE READY"
    [[ $("${as[@]}" mariadb --no-defaults --socket="$state/$1/sock" --user=root \
        --skip-column-names --execute="
            SELECT GROUP_CONCAT(variable_value ORDER BY variable_name SEPARATOR ' ')
            FROM information_schema.global_status
            WHERE variable_name IN
                ('wsrep_cluster_size', 'wsrep_local_state_comment', 'wsrep_ready')") == "$2" ]]
}

# Killed, as `mariadb` is.
stop_galera() {
    local node
    for node in "${galera_nodes[@]}"; do
        stop_process "$node" KILL
    done
}
