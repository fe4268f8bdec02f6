//! `stbeacon sample` against `ip`, in a network namespace of its own with traffic in it.

use std::process::{Command, Output};

use crate::common::{stderr, stdout};
use serde_json::Value;

/// Runs a script in a namespace that ends with it. `None`, loudly, where that is forbidden.
fn in_namespace(script: &str) -> Option<Output> {
    if !Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("\n*** SKIPPED: no network namespace can be made here (needs root) ***\n");
        return None;
    }
    let bin = env!("CARGO_BIN_EXE_stbeacon");
    let output = Command::new("unshare").args(["-n", "sh", "-ec", script, "sh", bin]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    Some(output)
}

/// Without IPv6 nothing is sent but what is sent here, so that two looks one after the other see the same.
const TWO_ENDS: &str = "
    echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 || true
    ip link set lo up
    ip link add veth0 type veth peer name veth1
    ip addr add 10.1.2.3/20 dev veth0
    ip link set veth0 up; ip link set veth1 up
    ip route add default via 10.1.2.1 metric 50
    ip route add default via 10.1.2.2 metric 20
    ip neigh add 10.1.2.9 lladdr 02:00:00:00:00:09 dev veth0 nud permanent
    for n in 1 2 3; do bash -c 'echo datagram > /dev/udp/10.1.2.9/9' || true; done
";

#[test]
fn figures_equal_those_of_ip() {
    let script = format!(
        "{TWO_ENDS}
        ip link set veth0 down; ip link set veth0 name wan0; ip link set wan0 up
        ip route add default via 10.1.2.1 metric 50
        ip route add default via 10.1.2.2 metric 20
        sleep 0.3
        $1 sample --interfaces 'wan0,veth*'; echo ===; ip -s -j link"
    );
    let Some(output) = in_namespace(&script) else { return };
    let text = stdout(&output);
    let (ours, theirs) = text.split_once("===").unwrap();
    let ours: Vec<Value> = serde_json::from_str(ours).unwrap();
    let theirs: Vec<Value> = serde_json::from_str(theirs).unwrap();
    assert_eq!(ours.len(), 2, "{text}");
    for report in &ours {
        let link = theirs.iter().find(|link| link["ifname"] == report["name"]).unwrap();
        let (rx, tx) = (&link["stats64"]["rx"], &link["stats64"]["tx"]);
        let discarded = rx["dropped"].as_u64().unwrap() + rx["missed"].as_u64().unwrap_or(0);
        let stat = &report["stat"];
        assert_eq!(stat["received_bytes"], rx["bytes"]);
        assert_eq!(stat["received_total_packets"], rx["packets"]);
        assert_eq!(stat["received_multicast_packets"], rx["multicast"]);
        assert_eq!(stat["received_error_packets"], rx["errors"]);
        assert_eq!(stat["received_discard_packets"], discarded);
        assert_eq!(stat["sent_bytes"], tx["bytes"]);
        assert_eq!(stat["sent_total_packets"], tx["packets"]);
        assert_eq!(stat["sent_error_packets"], tx["errors"]);
        let packets = rx["packets"].as_u64().unwrap() + tx["packets"].as_u64().unwrap();
        assert!(packets >= 3, "there was traffic: {text}");
    }
    let wan = ours.iter().find(|report| report["name"] == "wan0").unwrap();
    assert_eq!((&wan["ip"], &wan["netmask"]), (&"10.1.2.3".into(), &"255.255.240.0".into()));
    assert_eq!(wan["gateway"], "10.1.2.2", "of the lowest metric");
    // A virtual pair runs at 10 Gbit/s, as ethtool says.
    assert_eq!((&wan["speed"], &wan["duplex"]), (&10_000.into(), &"full".into()));
    let other = ours.iter().find(|report| report["name"] == "veth1").unwrap();
    for field in ["ip", "netmask", "gateway"] {
        assert_eq!(other[field], "");
    }
    assert_eq!((&other["speed"], &other["duplex"]), (&0.into(), &"half".into()));
}

#[test]
fn virtual_ends_are_left_out_and_bridges_are_in() {
    let script = format!(
        "{TWO_ENDS}
        ip link add br0 type bridge; ip link set br0 up; ip link set veth1 master br0
        ip link add docker0 type bridge; ip link set docker0 up
        $1 sample"
    );
    let Some(output) = in_namespace(&script) else { return };
    let reports: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = reports.iter().map(|report| report["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["br0"]);
}

#[test]
fn nothing_running_is_an_empty_array() {
    let Some(output) = in_namespace("$1 sample") else { return };
    assert_eq!(stdout(&output), "[]\n");
}

#[test]
fn the_daemon_follows_interfaces_that_come_change_and_go() {
    let script = r#"
        ip link set lo up
        dir=$(mktemp -d); trap 'kill $pid; rm -rf "$dir"' EXIT
        told() { i=0; while ! grep -qF "$1" "$dir/log" && [ $((i += 1)) -lt 400 ]; do sleep 0.05; done; }
        echo '<provision><stbeacon><reports interfaces="*"/></stbeacon></provision>' > "$dir/provision.xml"
        $1 run --provisioning "$dir/provision.xml" --socket "$dir/p" --control "$dir/c" --runtime-dir "$dir/run" --state-dir "$dir" 2> "$dir/log" &
        pid=$!
        while ! test -S "$dir/c"; do sleep 0.05; done
        ip link add veth0 type veth peer name veth1
        told "interface veth0 is there, down"
        ip addr add 10.1.2.3/20 dev veth0; ip link set veth0 up; ip link set veth1 up
        ip route add default via 10.1.2.2
        told "the default route leads over 10.1.2.2"; told "interface veth0 has address 10.1.2.3"
        ip link set veth0 down; ip link set veth0 name wan0; ip link set wan0 up
        $1 status --json --control "$dir/c"
        told "interface veth0 is now named wan0"
        ip link del wan0
        told "interface wan0 is gone"
        cat "$dir/log" >&2
        $1 status --json --control "$dir/c"
    "#;
    let Some(output) = in_namespace(script) else { return };
    let log = stderr(&output);
    for line in [
        "interface veth0 is there, down",
        "interface veth0 is up",
        "interface veth0 has address 10.1.2.3",
        "the default route leads over 10.1.2.2",
        "interface veth0 is now named wan0",
        "interface wan0 is gone",
    ] {
        assert!(log.contains(line), "no {line:?} in\n{log}");
    }
    let text = stdout(&output);
    let statuses: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names = |status: &Value| {
        let interfaces = status["interfaces"].as_array().unwrap().iter();
        interfaces.map(|interface| interface["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The status asks anew: it knows the new name before any notification has settled.
    assert_eq!(names(&statuses[0]), ["lo", "veth1", "wan0"]);
    assert_eq!(names(&statuses[1]), ["lo"]);
}

/// A box that booted without its network asks for its provisioning as soon as it has an address, whatever delay
/// the failures before that have led to.
#[test]
fn an_address_that_comes_is_a_reason_to_fetch_at_once() {
    let script = r#"
        ip link set lo up
        ip link add veth0 type veth peer name veth1
        ip link set veth0 up; ip link set veth1 up
        dir=$(mktemp -d); trap 'kill $pid; rm -rf "$dir"' EXIT
        $1 run --provisioning "$dir/none.xml" --provisioning-url 10.1.2.3:9 --socket "$dir/p" --control "$dir/c" --runtime-dir "$dir/run" \
            --state-dir "$dir" --log debug 2> "$dir/log" &
        pid=$!
        # Until the delay is so long that nobody takes what follows for its end.
        while ! grep -q 'next attempt in [1-5][0-9]\.' "$dir/log"; do sleep 0.1; done
        grep -c 'provisioning is fetched' "$dir/log"
        ip addr add 10.1.2.3/24 dev veth0
        sleep 3
        grep -c 'provisioning is fetched' "$dir/log"
    "#;
    let Some(output) = in_namespace(script) else { return };
    let attempts: Vec<u32> = stdout(&output).lines().map(|count| count.parse().unwrap()).collect();
    assert_eq!(attempts[1], attempts[0] + 1, "{}", stderr(&output));
}
