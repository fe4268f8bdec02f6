//! Interface figures against iproute2's, in a network namespace with traffic in it.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use stbeacon_tests::report::{Judge, Stat};
use stbeacon_tests::{
    Artifacts, Daemon, DaemonOptions, Error, Netns, Network, Process, Receiver, Report, skipped, wait,
};

const LIMIT: Duration = Duration::from_secs(10);

/// Two namespaces with a cable between them: `eth0` here is 192.0.2.2, `peer0` there 192.0.2.1.
struct Net {
    here: Netns,
    there: Netns,
}

impl Net {
    fn make() -> Result<Option<Self>, Error> {
        let (Some(here), Some(there)) = (Netns::make()?, Netns::make()?) else { return Ok(None) };
        let net = Self { here, there };
        for netns in [&net.here, &net.there] {
            // Neighbour and router solicitations come whenever they like; these figures must stand still.
            let _ = netns.inside(|| std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"))?;
            let _ = netns.inside(|| std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"))?;
        }
        net.here.ip(&format!("link add eth0 type veth peer name peer0 netns {}", net.there.name()))?;
        net.here.ip("addr add 192.0.2.2/24 dev eth0")?;
        net.here.ip("link set eth0 up")?;
        net.there.ip("addr add 192.0.2.1/24 dev peer0")?;
        net.there.ip("link set peer0 up")?;
        net.here.ip("route add default via 192.0.2.1")?;
        Ok(Some(net))
    }

    /// Traffic both ways, a different amount each time: the frames are counted when `send` returns on a veth.
    fn traffic(&self, from: &str, to: &str, datagrams: usize) -> Result<(), Error> {
        let exchange = |netns: &Netns, from: &str, to: &str, size: usize| {
            netns.inside(|| {
                let socket = UdpSocket::bind((from, 0))?;
                (0..datagrams).try_for_each(|n| socket.send_to(&vec![0; size + n], (to, 9)).map(drop))
            })
        };
        let fail = |e: std::io::Error| Error::io("no traffic", e);
        exchange(&self.here, from, to, 100)?.map_err(fail)?;
        exchange(&self.there, to, from, 300)?.map_err(fail)
    }

    /// Many commands of `ip` in one go.
    fn batch(&self, commands: &str) -> Result<(), Error> {
        let file = tempfile::NamedTempFile::new().and_then(|file| {
            std::fs::write(file.path(), commands)?;
            Ok(file)
        });
        let file = file.map_err(|e| Error::io("no batch", e))?;
        self.here.ip(&format!("-batch {}", file.path().display())).map(drop)
    }

    /// What `stbeacon sample` prints there, checked as a receiver would, and what iproute2 says before and
    /// after it; again until both are the same, so that it was one moment.
    fn compare(&self, interfaces: &str) -> Result<BTreeMap<String, Network>, Error> {
        let (reports, expected) = wait::until("the counters to stand still", LIMIT, || {
            let before = self.expected();
            let sampled = self.sample(interfaces);
            match (before, sampled, self.expected()) {
                (Ok(before), Ok(sampled), Ok(after)) => (before == after).then_some(Ok((sampled, after))),
                (Err(e), _, _) | (_, Err(e), _) | (_, _, Err(e)) => Some(Err(e)),
            }
        })??;
        for (name, report) in &reports {
            let Some(expected) = expected.get(name) else { panic!("iproute2 knows no {name}") };
            assert_eq!(&Network { timestamp: 0, ..report.clone() }, expected, "{name}");
        }
        Ok(reports)
    }

    fn sample(&self, interfaces: &str) -> Result<BTreeMap<String, Network>, Error> {
        let mut command = self.here.command(Artifacts::find()?.daemon()?);
        command.args(["sample", "--interfaces", interfaces]);
        let finished = Process::start(&mut command)?.wait(LIMIT)?.success()?;
        let reports = Judge::new()?.read(finished.stdout.as_bytes()).map_err(|e| finished.error(&e))?;
        Ok(by_name(reports))
    }

    /// The same in iproute2's words: `ip -s -s -j link`, `ip -j addr`, `ip -j route`, and sysfs for the speed.
    fn expected(&self) -> Result<BTreeMap<String, Network>, Error> {
        let links = self.here.ip_json("-s -s link show")?;
        let addresses = self.here.ip_json("-4 addr show")?;
        let routes = self.here.ip_json("-4 route show default")?;
        let gateway = array(&routes)
            .iter()
            .min_by_key(|route| number(route, "/metric"))
            .map(|route| text(route, "/gateway"))
            .unwrap_or_default();
        let mut expected = BTreeMap::new();
        for link in array(&links) {
            let name = text(link, "/ifname");
            let address = array(&addresses).iter().find(|a| text(a, "/ifname") == name);
            let v4 = address.and_then(|a| {
                array(a.get("addr_info")?).iter().find(|i| text(i, "/scope") == "global").cloned()
            });
            let n = |at: &str| number(link, &format!("/stats64{at}"));
            let stat = Stat {
                received_bytes: n("/rx/bytes"),
                received_total_packets: n("/rx/packets"),
                received_multicast_packets: n("/rx/multicast"),
                received_error_packets: n("/rx/errors"),
                received_discard_packets: n("/rx/dropped") + n("/rx/missed_errors"),
                sent_bytes: n("/tx/bytes"),
                sent_total_packets: n("/tx/packets"),
                sent_error_packets: n("/tx/errors"),
            };
            let speed = self.sysfs(&name, "speed").parse::<i64>().ok().and_then(|s| u64::try_from(s).ok());
            let duplex = self.sysfs(&name, "duplex");
            // An interface that is up without an address is told as if nothing of it were known.
            let report = match v4 {
                None => Network { name: name.clone(), stat, duplex: "half".to_owned(), ..Network::default() },
                Some(v4) => Network {
                    timestamp: 0,
                    speed: speed.unwrap_or(0),
                    duplex: if duplex == "full" { duplex } else { "half".to_owned() },
                    ip: text(&v4, "/local"),
                    netmask: netmask(number(&v4, "/prefixlen")),
                    gateway: gateway.clone(),
                    stat,
                    name: name.clone(),
                },
            };
            expected.insert(name, report);
        }
        Ok(expected)
    }

    /// One file of the interface, as seen inside (`ip netns exec` mounts that view).
    fn sysfs(&self, name: &str, file: &str) -> String {
        let path = format!("/sys/class/net/{name}/{file}");
        let mut command: Command = self.here.command("cat");
        let read = Process::start(command.arg(path)).and_then(|process| process.wait(LIMIT));
        read.map(|finished| finished.stdout.trim().to_owned()).unwrap_or_default()
    }
}

fn by_name(reports: Vec<Report>) -> BTreeMap<String, Network> {
    let network = |report| match report {
        Report::Network(network) => Some((network.name.clone(), network)),
        Report::Media(_) => None,
    };
    reports.into_iter().filter_map(network).collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value, at: &str) -> u64 {
    value.pointer(at).and_then(Value::as_u64).unwrap_or(0)
}

fn text(value: &Value, at: &str) -> String {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn netmask(prefix: u64) -> String {
    let bits = u32::MAX.checked_shl(32 - prefix as u32).unwrap_or(0);
    std::net::Ipv4Addr::from(bits).to_string()
}

#[test]
fn an_ethernet_like_interface() -> Result<(), Error> {
    let Some(net) = Net::make()? else { return Ok(()) };
    net.traffic("192.0.2.2", "192.0.2.1", 50)?;
    let reports = net.compare("eth*")?;
    let eth0 = &reports["eth0"];
    assert_eq!(reports.len(), 1);
    assert_eq!((eth0.ip.as_str(), eth0.netmask.as_str()), ("192.0.2.2", "255.255.255.0"));
    assert_eq!(eth0.gateway, "192.0.2.1");
    assert!(eth0.stat.sent_total_packets >= 50 && eth0.stat.received_total_packets >= 50, "{eth0:?}");
    Ok(())
}

#[test]
fn what_is_dropped_is_discarded() -> Result<(), Error> {
    let Some(net) = Net::make()? else { return Ok(()) };
    // A frame for a protocol that nobody takes is dropped on its way in (rx_dropped of a veth's peer).
    net.traffic("192.0.2.2", "192.0.2.1", 5)?;
    net.here.ip("link set eth0 mtu 576")?;
    let sent = net.there.inside(|| {
        let socket = UdpSocket::bind("192.0.2.1:0")?;
        (0..10).try_for_each(|_| socket.send_to(&[0; 1400], "192.0.2.2:9").map(drop))
    })?;
    sent.map_err(|e| Error::io("no traffic", e))?;
    net.compare("eth*")?;
    Ok(())
}

#[test]
fn a_renamed_interface() -> Result<(), Error> {
    let Some(net) = Net::make()? else { return Ok(()) };
    net.here.ip("link set eth0 down")?;
    net.here.ip("link set eth0 name wan0")?;
    net.here.ip("link set wan0 up")?;
    net.here.ip("route add default via 192.0.2.1")?;
    net.traffic("192.0.2.2", "192.0.2.1", 7)?;
    let reports = net.compare("eth*,wan*")?;
    assert_eq!(reports.keys().collect::<Vec<_>>(), ["wan0"]);
    Ok(())
}

#[test]
fn a_bridge_with_the_address() -> Result<(), Error> {
    let Some(net) = Net::make()? else { return Ok(()) };
    let bridge = net.here.try_ip("link add br0 type bridge")?;
    if !bridge.status.success() {
        skipped("network figures of a bridge", bridge.stderr.trim());
        return Ok(());
    }
    net.here.ip("link set br0 type bridge mcast_snooping 0")?;
    net.here.ip("addr flush dev eth0")?;
    net.here.ip("link set eth0 master br0")?;
    net.here.ip("addr add 192.0.2.2/25 dev br0")?;
    net.here.ip("link set br0 up")?;
    net.here.ip("route replace default via 192.0.2.1")?;
    net.traffic("192.0.2.2", "192.0.2.1", 21)?;
    let reports = net.compare("eth*,br*")?;
    assert_eq!(reports["br0"].netmask, "255.255.255.128");
    // Up, but its address is the bridge's now.
    assert_eq!((reports["eth0"].ip.as_str(), reports["eth0"].netmask.as_str()), ("", ""));
    assert!(reports["br0"].stat.sent_total_packets >= 21);
    Ok(())
}

#[test]
fn a_vlan() -> Result<(), Error> {
    let Some(net) = Net::make()? else { return Ok(()) };
    let vlan = net.here.try_ip("link add link eth0 name eth0.100 type vlan id 100")?;
    if !vlan.status.success() {
        skipped("network figures of a VLAN (eth0.100)", vlan.stderr.trim());
        return Ok(());
    }
    net.here.ip("addr add 198.51.100.2/24 dev eth0.100")?;
    net.here.ip("link set eth0.100 up")?;
    net.there.ip("link add link peer0 name peer0.100 type vlan id 100")?;
    net.there.ip("addr add 198.51.100.1/24 dev peer0.100")?;
    net.there.ip("link set peer0.100 up")?;
    net.traffic("198.51.100.2", "198.51.100.1", 33)?;
    let reports = net.compare("eth*")?;
    assert_eq!(reports["eth0.100"].ip, "198.51.100.2");
    assert!(reports["eth0.100"].stat.sent_total_packets >= 33);
    Ok(())
}

/// The gateway is that of the default route with the lowest metric.
#[test]
fn the_active_gateway() -> Result<(), Error> {
    let Some(net) = Net::make()? else { return Ok(()) };
    net.here.ip("route del default")?;
    net.here.ip("route add default via 192.0.2.9 metric 100")?;
    net.here.ip("route add default via 192.0.2.7 metric 50")?;
    let reports = net.compare("eth*")?;
    assert_eq!(reports["eth0"].gateway, "192.0.2.7");
    net.here.ip("route del default via 192.0.2.7")?;
    assert_eq!(net.compare("eth*")?["eth0"].gateway, "192.0.2.9");
    net.here.ip("route del default")?;
    assert_eq!(net.compare("eth*")?["eth0"].gateway, "");
    Ok(())
}

/// An interface that is up without an address, and one that is down.
#[test]
fn without_an_address_or_down() -> Result<(), Error> {
    let Some(net) = Net::make()? else { return Ok(()) };
    net.here.ip("link add wlan0 type veth peer name other0")?;
    net.here.ip("link set wlan0 up")?;
    let reports = net.compare("eth*,wlan*,other*")?;
    let wlan0 = &reports["wlan0"];
    assert_eq!((wlan0.ip.as_str(), wlan0.netmask.as_str()), ("", ""));
    assert!(!reports.contains_key("other0"), "down, so not reported");
    // Unless they are asked for by name: loopback and virtual interfaces, and a veth is one.
    let mut command = net.here.command(Artifacts::find()?.daemon()?);
    let unasked = Process::start(command.arg("sample"))?.wait(LIMIT)?.success()?;
    assert_eq!(unasked.stdout.trim(), "[]");
    Ok(())
}

/// The daemon's own samples: every second, through an interface that comes, is renamed, and goes.
#[test]
fn the_daemon_follows_interfaces_that_come_and_go() -> Result<(), Error> {
    let Some(net) = Net::make()? else { return Ok(()) };
    let receiver = Receiver::on(net.here.listen()?)?;
    let options = DaemonOptions {
        media: false,
        network_period: 1,
        interfaces: "eth*,usb*,cam*".to_owned(),
        ..DaemonOptions::media_only(receiver.url())
    };
    let daemon = Daemon::with(net.here.daemon(options))?;
    let newest = |receiver: &Receiver, name: &str| {
        let reports = receiver.network();
        let last = reports.iter().map(|r| r.timestamp).max()?;
        reports.into_iter().find(|r| r.name == name && r.timestamp == last)
    };
    let wait_for = |what: &str, condition: &mut dyn FnMut(&Receiver) -> Option<Network>| {
        receiver.wait_for(what, LIMIT, condition).map_err(|e| e.with_log("daemon", &daemon.log()))
    };
    let first = wait_for("the first sample", &mut |r| newest(r, "eth0"))?;
    assert_eq!((first.ip.as_str(), first.gateway.as_str()), ("192.0.2.2", "192.0.2.1"));

    net.traffic("192.0.2.2", "192.0.2.1", 40)?;
    let expected = net.expected()?;
    let settled = wait_for("the traffic", &mut |r| {
        newest(r, "eth0").filter(|n| n.stat.sent_bytes > first.stat.sent_bytes)
    })?;
    assert_eq!(settled.stat, expected["eth0"].stat);

    net.here.ip("link add usb0 type veth peer name x0")?;
    net.here.ip("link set usb0 up")?;
    wait_for("an interface that comes", &mut |r| newest(r, "usb0"))?;
    net.here.ip("link set usb0 down")?;
    net.here.ip("link set usb0 name cam0")?;
    net.here.ip("link set cam0 up")?;
    wait_for("its new name", &mut |r| newest(r, "cam0").filter(|_| newest(r, "usb0").is_none()))?;
    net.here.ip("link del cam0")?;
    wait_for("its end", &mut |r| newest(r, "eth0").filter(|_| newest(r, "cam0").is_none()))?;
    daemon.stop()?;
    Ok(())
}

/// What is up to a server that switches, or a user who pulls the plug: another address, and counters from zero.
#[test]
fn an_address_that_changes_and_counters_that_start_anew() -> Result<(), Error> {
    let Some(net) = Net::make()? else { return Ok(()) };
    let receiver = Receiver::on(net.here.listen()?)?;
    let options = DaemonOptions {
        media: false,
        network_period: 1,
        interfaces: "eth*".to_owned(),
        ..DaemonOptions::media_only(receiver.url())
    };
    let daemon = Daemon::with(net.here.daemon(options))?;
    let wait_for = |what: &str, condition: &dyn Fn(&Network) -> bool| {
        receiver
            .wait_for(what, LIMIT, |r| {
                let reports = r.network();
                let last = reports.iter().map(|r| r.timestamp).max()?;
                reports.into_iter().find(|r| r.timestamp == last && condition(r))
            })
            .map_err(|e| e.with_log("daemon", &daemon.log()))
    };
    net.traffic("192.0.2.2", "192.0.2.1", 60)?;
    let busy = wait_for("the traffic", &|r| r.stat.sent_total_packets >= 60)?;

    net.here.ip("addr del 192.0.2.2/24 dev eth0")?;
    wait_for("no address", &|r| r.ip.is_empty() && r.gateway.is_empty())?;
    net.here.ip("addr add 192.0.2.77/26 dev eth0")?;
    net.here.ip("route add default via 192.0.2.65")?;
    let moved = wait_for("another address", &|r| r.ip == "192.0.2.77")?;
    assert_eq!((moved.netmask.as_str(), moved.gateway.as_str()), ("255.255.255.192", "192.0.2.65"));
    assert!(moved.stat.sent_total_packets >= busy.stat.sent_total_packets, "the same counters");

    // The same name, another interface: its counters are told as they are, and nothing is made up.
    net.here.ip("link del eth0")?;
    net.here.ip(&format!("link add eth0 type veth peer name peer0 netns {}", net.there.name()))?;
    net.here.ip("addr add 192.0.2.2/24 dev eth0")?;
    net.here.ip("link set eth0 up")?;
    net.there.ip("addr add 192.0.2.1/24 dev peer0")?;
    net.there.ip("link set peer0 up")?;
    net.traffic("192.0.2.2", "192.0.2.1", 3)?;
    let anew = wait_for("counters from zero", &|r| {
        r.ip == "192.0.2.2" && (3..60).contains(&r.stat.sent_total_packets)
    })?;
    assert!(anew.stat.sent_bytes < busy.stat.sent_bytes);
    let expected = wait::until("the counters to stand still", LIMIT, || {
        let (before, after) = (net.expected().ok()?, net.expected().ok()?);
        (before == after).then_some(after)
    })?;
    wait_for("the kernel's own figures", &|r| r.stat == expected["eth0"].stat)?;
    daemon.stop()?;
    Ok(())
}

/// Five hundred interfaces come at once while it runs, are sampled every second, and go.
#[test]
fn five_hundred_interfaces() -> Result<(), Error> {
    const PAIRS: usize = 250;
    let Some(net) = Net::make()? else { return Ok(()) };
    let receiver = Receiver::on(net.here.listen()?)?;
    let options = DaemonOptions {
        media: false,
        network_period: 1,
        interfaces: "many*".to_owned(),
        ..DaemonOptions::media_only(receiver.url())
    };
    let daemon = Daemon::with(net.here.daemon(options))?;
    let mut commands = String::new();
    for n in 0..PAIRS {
        commands += &format!("link add many{n}a type veth peer name many{n}b\n");
        commands += &format!("link set many{n}a up\nlink set many{n}b up\n");
    }
    net.batch(&commands)?;
    let whole = receiver
        .wait_for("a sample of all", Duration::from_secs(30), |r| {
            let mut samples: BTreeMap<_, Vec<_>> = BTreeMap::new();
            r.network()
                .into_iter()
                .for_each(|report| samples.entry(report.timestamp).or_default().push(report));
            samples.into_values().find(|sample| sample.len() == 2 * PAIRS)
        })
        .map_err(|e| e.with_log("daemon", &daemon.log()))?;
    let names: std::collections::BTreeSet<_> = whole.iter().map(|report| report.name.as_str()).collect();
    assert_eq!(names.len(), 2 * PAIRS, "each once");
    let status = daemon.command(&["status", "--json"])?.success()?;
    let status: Value = serde_json::from_str(&status.stdout).map_err(|e| Error::io("no status", e))?;
    assert_eq!(array(&status["interfaces"]).len(), 2 * PAIRS);
    let rss = number(&status, "/rss_bytes");
    assert!(rss < 32 << 20, "{rss} bytes");
    println!("{} interfaces: {} KiB in RAM", 2 * PAIRS, rss / 1024);

    let gone: String = (0..PAIRS).map(|n| format!("link del many{n}a\n")).collect();
    net.batch(&gone)?;
    wait::until("their end", LIMIT, || daemon.log().contains("interface many249a is gone").then_some(()))
        .map_err(|e| e.with_log("daemon", &daemon.log()))?;
    let status = daemon.command(&["status", "--json"])?.success()?;
    let status: Value = serde_json::from_str(&status.stdout).map_err(|e| Error::io("no status", e))?;
    assert_eq!(status["interfaces"], Value::Array(Vec::new()));
    receiver.check()?;
    daemon.stop()?;
    Ok(())
}

/// More news than its socket holds while the daemon is stopped (ENOBUFS): what it missed it asks for.
#[test]
fn news_that_were_lost_are_asked_for() -> Result<(), Error> {
    use nix::sys::signal::Signal;
    let Some(net) = Net::make()? else { return Ok(()) };
    let receiver = Receiver::on(net.here.listen()?)?;
    let options = DaemonOptions { media: false, ..DaemonOptions::media_only(receiver.url()) };
    let daemon = Daemon::with(net.here.daemon(options))?;
    net.here.ip("link add flap0 type veth peer name flap1")?;
    let logs = |part: &str| {
        wait::until(part, LIMIT, || daemon.log().contains(part).then_some(()))
            .map_err(|e| e.with_log("daemon", &daemon.log()))
    };
    logs("interface flap0 is there")?;
    daemon.process().signal(Signal::SIGSTOP)?;
    net.batch(&"link set flap0 up\nlink set flap0 down\n".repeat(4000))?;
    net.here.ip("addr add 198.51.100.9/24 dev flap0")?;
    let dropped = net.here.inside(|| std::fs::read_to_string("/proc/thread-self/net/netlink"));
    let dropped = dropped?.map_err(|e| Error::io("no /proc/net/netlink", e))?;
    let pid = daemon.process().pid();
    // Drops, in the last column but one: the daemon's socket has lost some.
    let lost: u64 =
        dropped.lines().filter_map(|line| line.split_whitespace().rev().nth(1)?.parse::<u64>().ok()).sum();
    assert!(lost > 0, "nothing was lost, so nothing is proven (pid {pid}):\n{dropped}");
    daemon.process().signal(Signal::SIGCONT)?;
    logs("interface flap0 has address 198.51.100.9")?;
    // And it still listens.
    net.here.ip("link set flap0 up")?;
    logs("interface flap0 is up")?;
    daemon.stop()?;
    Ok(())
}
