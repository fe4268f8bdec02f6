//! A real ClickHouse server of its own: whichever `clickhouse-server` the PATH finds first, on free ports, with its data in a
//! directory of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
const CONFIG: &str = "<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <http_port>@HTTP@</http_port><tcp_port>@TCP@</tcp_port><listen_host>127.0.0.1</listen_host>
  <path>@DIR@/data/</path><tmp_path>@DIR@/tmp/</tmp_path><users_config>@DIR@/users.xml</users_config>
  <default_profile>default</default_profile><default_database>default</default_database>
  <mark_cache_size>67108864</mark_cache_size>
</yandex>
";
const USERS: &str = "<yandex>
  <profiles><default><max_threads>1</max_threads></default></profiles><quotas><default/></quotas>
  <users><qoe>
    <password>s:3&amp;t</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
  </qoe></users>
</yandex>
";
/// Ends with whoever started it, however that ends: then its standard input is at its end.
const KEEPER: &str = r#"PATH=$PATH:/usr/sbin; clickhouse-server --config-file="$1/config.xml" >"$1/log" 2>&1 </dev/null &
server=$!
echo $server
cat >/dev/null
kill -KILL $server
[ "$2" = last ] && rm -rf "$1"
wait"#;

/// The server. Is killed when this is dropped.
pub(crate) struct Server {
    directory: tempfile::TempDir,
    port: u16,
    /// The shell that keeps it, and the server's own number.
    running: Option<(Child, u32)>,
}

impl Server {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let mut server = Self { directory: tempfile::tempdir().unwrap(), port: free_port(), running: None };
        let directory = server.directory.path();
        let config = CONFIG.replace("@DIR@", directory.to_str().unwrap());
        let config = config.replace("@HTTP@", &server.port.to_string());
        std::fs::write(directory.join("config.xml"), config.replace("@TCP@", &free_port().to_string()))
            .unwrap();
        std::fs::write(directory.join("users.xml"), USERS).unwrap();
        std::fs::create_dir_all(directory.join("data")).unwrap();
        std::fs::create_dir_all(directory.join("tmp")).unwrap();
        server.start_again("");
        server
    }

    /// The one that all tests of a program share, each with a database of its own.
    #[allow(dead_code, reason = "not every program that has this needs it")]
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| {
            let mut server = Self::start();
            // A static is not dropped: the shell cleans up.
            server.kill();
            server.start_again("last");
            server
        })
    }

    /// What a collector is told to use a database of it.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("clickhouse://qoe:s%3A3%26t@127.0.0.1:{}/{database}", self.port)
    }

    #[allow(dead_code, reason = "not every program that has this needs it")]
    /// Asks it; what it says without the last line's end.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let answer = self.request(sql).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{sql}: {answer}");
        body.trim_end().to_owned()
    }

    /// The server's own number, to stop it and to let it go on.
    #[allow(dead_code, reason = "not every program that has this needs it")]
    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().unwrap().1
    }

    /// Without a word.
    pub(crate) fn kill(&mut self) {
        if let Some((mut shell, _)) = self.running.take() {
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }

    /// Starts it where it was killed.
    pub(crate) fn start_again(&mut self, last: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEPER, "sh"]).arg(self.directory.path()).arg(last);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut number = String::new();
        let mut stdout = std::io::BufReader::new(shell.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut stdout, &mut number).unwrap();
        self.running = Some((shell, number.trim().parse().unwrap()));
        let deadline = Instant::now() + PATIENCE;
        while !self.request("SELECT 1").is_ok_and(|answer| answer.contains(" 200 ")) {
            let log = || std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(
                Instant::now() < deadline && !log().contains("not found"),
                "clickhouse-server does not start (`cargo xtask setup` installs it): {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn request(&self, sql: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // qoe:s:3&t
        write!(
            stream,
            "POST /?wait_end_of_query=1 HTTP/1.0\r\nAuthorization: Basic cW9lOnM6MyZ0\r\nContent-Length: {}\r\n\r\n{sql}",
            sql.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Nobody listens there; somebody else may, the moment after.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
