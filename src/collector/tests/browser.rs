//! The page in a real browser: chromium without a screen, driven by WebDriver (W3C) over plain HTTP.
//!
//! Not among the tests that always run: a browser takes a minute to install. `cargo xtask test page` runs them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::golden;
use crate::harness::{Collector, command, lines_of_the_past, network_of_today};

const PATIENCE: Duration = Duration::from_secs(60);
/// Name of an element's id in answers (W3C WebDriver, 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const TITLE: &str = "<img src=x onerror=alert(1)><script>alert(2)</script>";

/// A browser with one window.
struct Browser {
    driver: Child,
    session: String,
    screenshots: PathBuf,
}

impl Browser {
    fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver: apt-get install chromium chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines
            .find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse::<u16>().ok()
            })
            .unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let base = format!("http://127.0.0.1:{port}/session");
        let options =
            json!({ "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } } } });
        let told = post(&base, &wanted);
        let session = format!("{base}/{}", told["sessionId"].as_str().unwrap());
        let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&screenshots).unwrap();
        Self { driver, session, screenshots }
    }

    fn ask(&self, command: &str, body: &Value) -> Value {
        post(&format!("{}/{command}", self.session), body)
    }

    fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a script says what is wanted.
    fn wait(&self, script: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.run(script);
            if told.as_bool() != Some(false) && !told.is_null() {
                return told;
            }
            if Instant::now() > deadline {
                self.shot("failed");
                panic!("never: {script}\n{}", self.run("return document.body.innerText"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn wait_for_text(&self, text: &str) {
        self.wait(&format!("return document.body.innerText.includes({})", json!(text)));
    }

    fn go(&self, collector: &Collector, page: &str) {
        self.ask("url", &json!({ "url": format!("http://{}/{page}", collector.address) }));
        self.wait("return document.querySelector('h1') !== null");
    }

    /// An element by XPath.
    fn element(&self, path: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.ask("elements", &json!({ "using": "xpath", "value": path }));
            if let Some(element) = found[0][ELEMENT].as_str() {
                return element.to_owned();
            }
            assert!(Instant::now() < deadline, "no {path}\n{}", self.run("return document.body.innerText"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clicks; what is drawn anew in that moment is looked for again.
    fn click(&self, path: &str) {
        for _ in 0..20 {
            let element = self.element(path);
            let clicked = try_post(&format!("{}/element/{element}/click", self.session), &json!({}));
            match clicked {
                Ok(_) => return,
                Err(error) if error.contains("stale") || error.contains("intercepted") => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => panic!("{path}: {error}"),
            }
        }
        panic!("{path} cannot be clicked");
    }

    fn button(&self, row: &str, name: &str) {
        self.click(&format!("//tr[contains(., '{row}')]//button[. = '{name}']"));
    }

    fn enter(&self, name: &str, text: &str) {
        let element = self.element(&format!("//input[@name='{name}']"));
        self.ask(&format!("element/{element}/clear"), &json!({}));
        self.ask(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    fn press(&self, path: &str, key: &str) {
        let element = self.element(path);
        self.ask(&format!("element/{element}/value"), &json!({ "text": key }));
    }

    fn look_like(&self, scheme: &str, width: u32, height: u32) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let media = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.ask("goog/cdp/execute", &media);
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("goog/cdp/execute", &json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size }));
    }

    fn shot(&self, name: &str) {
        let picture = get(&format!("{}/screenshot", self.session));
        let picture = STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::write(self.screenshots.join(format!("{name}.png")), picture).unwrap();
    }

    /// What the browser complains about: a policy that is violated, a script that fails.
    fn complaints(&self) -> Vec<String> {
        let log = self.ask("se/log", &json!({ "type": "browser" }));
        log.as_array().unwrap().iter().map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn post(url: &str, body: &Value) -> Value {
    try_post(url, body).unwrap_or_else(|error| panic!("{url} {body}: {error}"))
}

fn try_post(url: &str, body: &Value) -> Result<Value, String> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
    let mut answer =
        agent.post(url).header("Content-Type", "application/json").send(body.to_string()).unwrap();
    let told: Value =
        serde_json::from_str(&answer.body_mut().with_config().limit(64 << 20).read_to_string().unwrap())
            .unwrap();
    if answer.status() == 200 { Ok(told["value"].clone()) } else { Err(told["value"]["error"].to_string()) }
}

fn get(url: &str) -> Value {
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    let mut answer = agent.get(url).call().unwrap();
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["value"].clone()
}

/// A collector with a bit of everything, whose titles are hostile.
fn collector(data: &Path) -> Collector {
    let alerts = data.join("alerts.json");
    let rule = json!({ "id": 1, "name": TITLE, "metric": "attempts", "condition": "above", "threshold": 0.5, "minutes": 60 });
    std::fs::write(&alerts, json!({ "manual": [rule] }).to_string()).unwrap();
    let mut command = command(data);
    command.arg("--alerts").arg(&alerts);
    let collector = Collector::start_with(command);
    for name in ["vod_with_seeks_and_pauses", "error_after_start", "live_with_rebuffers_astride_a_line"] {
        for line in lines_of_the_past(name) {
            assert_eq!(collector.line(&line.replace("~c=00000000", &format!("~c={name}"))).status, 200);
        }
    }
    let title: String = TITLE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(collector.line(&format!("a=I~c=1~d=lab-box~e=0~f=R~w=0~tt={title}")).status, 200);
    for report in [golden::reports("media"), network_of_today(10)] {
        let mac = "Mac-Address: 00:11:22:33:44:55\r\n";
        assert_eq!(collector.post("/", mac, report.as_bytes()).status, 200);
    }
    collector
}

const PAGES: [(&str, &str, &str); 9] = [
    ("overview", "#/", "Concurrent plays"),
    ("sessions", "#/sessions", "lab-box"),
    ("dimensions", "#/dimensions", "Rebuffering ratio"),
    ("boxes", "#/fleet", "192.168.1.2"),
    ("alerts", "#/alerts", "Attempts"),
    ("configuration", "#/configuration", "quality_metriclens"),
    ("metrics", "#/metrics", "Video Startup Time"),
    ("lens", "#/lens", "lines"),
    ("security", "#/security", "c3.stbeacon"),
];

#[test]
#[ignore = "needs chromium; cargo xtask test page"]
fn every_page_and_button_in_a_real_browser() {
    let data = tempfile::tempdir().unwrap();
    let collector = collector(data.path());
    let browser = Browser::start();
    browser.look_like("light", 1280, 1000);

    // Sessions: found, opened, told.
    browser.go(&collector, "#/sessions");
    browser.wait_for_text("failed");
    browser.enter("text", "LAB-B");
    browser.click("//button[. = 'Find']");
    browser.wait("return document.querySelectorAll('tbody tr').length === 1");
    browser.wait_for_text(TITLE);
    browser.click("//tbody//a");
    browser.wait_for_text("In words");
    browser.wait_for_text("attempt");
    browser.go(&collector, "#/sessions?state=ended");
    browser.wait_for_text("playback failed");
    browser.click("//tr[contains(., 'playback failed')]//a");
    browser.wait_for_text("failed in mid-play");
    browser.wait("return document.querySelector('figure svg rect.playing') !== null");
    browser.shot("session");

    // A plot is read by the keyboard.
    browser.go(&collector, "#/");
    browser.wait_for_text("Attempts");
    browser.wait("return document.querySelectorAll('.curve').length > 5");
    browser.press("(//*[name()='svg' and @tabindex])[2]", "\u{E012}");
    browser.wait("return document.querySelector('.cross') !== null");

    // The connector: a connection, what is polled of it, what it came to.
    browser.go(&collector, "#/security");
    browser.enter("name", "ours");
    browser.click("//button[. = 'Add']");
    browser.wait_for_text("c3.stbeacon");
    browser.go(&collector, "#/configuration");
    browser.click("//button[. = 'Add metric']");
    browser.wait("return document.querySelectorAll('table')[0].innerText.includes('attempts')");
    browser.click("//option[. = 'quality_summary']");
    browser.click("//button[. = 'Add metric']");
    browser.wait("return document.querySelectorAll('table')[0].innerText.includes('quality_summary')");
    browser.click("//option[. = 'Data Channels']");
    browser.click("//button[. = 'Add MetricLens']");
    browser.wait("return document.querySelectorAll('table')[1].innerText.includes('Data Channels')");
    browser.wait("return [...document.querySelectorAll('.chip')].filter((chip) => chip.innerText === 'OK').length === 3");
    browser.button("attempts", "Disable");
    browser.wait_for_text("disabled");
    browser.button("attempts", "Enable");
    browser.button("attempts", "Poll now");
    browser.wait_for_text("It is polled.");
    browser.button("attempts", "Remove");
    browser.click("//dialog//button[. = 'Keep']");
    browser.wait("return document.querySelectorAll('tbody tr').length === 3");
    browser.button("attempts", "Remove");
    browser.click("//dialog//button[. = 'Remove']");
    browser.wait("return document.querySelectorAll('tbody tr').length === 2");

    // A filter at the service.
    browser.enter("name", "Films");
    browser.enter("value", "film");
    browser.click("//button[. = 'Create filter']");
    browser.wait_for_text("The service shows the filter.");
    browser.click("//button[. = 'Delete filter']");
    browser.click("//dialog//button[. = 'Remove']");
    browser.wait_for_text("The service shows the filter no more.");

    // How long alerts are kept.
    browser.go(&collector, "#/alerts");
    browser.click("(//option[. = 'so many days'])[1]");
    browser.click("(//button[. = 'Save'])[1]");
    browser.wait("return [...document.querySelectorAll('select')].some((select) => select.value === 'days')");

    // Each page by daylight, at night, and on a phone, where nothing stands out to the side.
    for (scheme, width, height, suffix) in
        [("light", 1280, 1000, "light"), ("dark", 1280, 1000, "dark"), ("light", 390, 844, "phone")]
    {
        browser.look_like(scheme, width, height);
        for (name, page, text) in PAGES {
            browser.go(&collector, page);
            browser.wait_for_text(text);
            let wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth");
            assert!(wide.as_i64().unwrap() <= 0, "{name} is {wide} px too wide at {width}");
            browser.shot(&format!("{name}-{suffix}"));
        }
    }
    let back = browser.run("return getComputedStyle(document.body).backgroundColor");
    browser.look_like("dark", 1280, 1000);
    assert_ne!(browser.run("return getComputedStyle(document.body).backgroundColor"), back);

    // What titles say was never run, and nothing broke the policy.
    assert_eq!(browser.complaints(), <[String; 0]>::default());
    assert_eq!(browser.run("return document.querySelectorAll('main img, main script').length"), 0);

    // Without a collector the page says so, and goes on.
    browser.go(&collector, "#/");
    collector.kill();
    browser.wait_for_text("The collector cannot be reached.");
    browser.shot("trouble");
}
