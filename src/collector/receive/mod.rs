//! The way in: what boxes send, over HTTP.
//!
//! | request | is | answer |
//! |---|---|---|
//! | `POST …/0/wsg` | a heartbeat | JSON, see [`answer`] |
//! | `POST` anything else | STB reports | 200 and how many were taken |
//! | `GET …?a=P~…` | a Media Analytics line | a picture of 1×1 |
//!
//! Answered once it is on the disk. 400 is said only to what will never be of use, and why; 413 and 415 likewise; 429 and
//! 503, with `Retry-After`, to what may come again.

pub(crate) mod body;
pub(crate) mod home;
pub(crate) mod limit;
pub(crate) mod parcel;

use std::net::IpAddr;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use stbeacon_core::stb::{Report, receive_batch};

use self::home::{Home, subnet};
use self::parcel::{Kind, Parcel, message};
use crate::app::{App, Peer};
use crate::book::Message;
use crate::keeper::NotNow;
use crate::labels::clipped;
use crate::session::{beat, line};
use crate::time::MINUTE;

/// A transparent picture of one pixel (GIF89a).
const PIXEL: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\
\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";
/// In what a box says who it is.
const MAC_ADDRESS: &str = "mac-address";
/// Where heartbeats go.
const HEARTBEATS: &str = "/0/wsg";
/// When to come again, in seconds.
const RETRY_AFTER: &str = "5";
/// Minutes of a report that weigh as much as a request.
const MINUTES_PER_WEIGHT: u64 = 30;

/// Takes whatever is no question.
pub(crate) async fn receive(
    State(app): State<App>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET {
        return receive_line(&app, &Home::of(peer), parts).await;
    }
    let peer = match admit(&app, peer, &parts.headers) {
        Ok(peer) => peer,
        Err(answer) => return answer,
    };
    match parts.method {
        Method::POST if parts.uri.path().ends_with(HEARTBEATS) => {
            heartbeat(&app, peer, &parts.headers, body).await
        }
        Method::POST => reports(&app, peer, &parts.headers, body).await,
        _ => {
            let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, "expected GET or POST");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
            answer
        }
    }
}

/// Takes a line: it is read at once, and nothing of the request is needed any more while it is waited for the answer but
/// the room that its headers had, which the answer's have then, and hyper gives to the headers of the next request.
pub(crate) fn receive_line(
    app: &App,
    home: &Home,
    Parts { mut headers, uri, .. }: Parts,
) -> impl Future<Output = Response> + Send + use<> {
    let kept = keep_line(app, home, &headers, uri.query());
    headers.clear();
    async move {
        match kept {
            Ok(kept) => match kept.await {
                Ok(()) => pixel(headers),
                Err(NotNow) => not_now(),
            },
            Err(answer) => answer,
        }
    }
}

#[expect(clippy::result_large_err, reason = "it is the answer, and made seldom")]
fn keep_line(
    app: &App,
    home: &Home,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<impl Future<Output = Result<(), NotNow>> + Send + use<>, Response> {
    let peer = admit(app, home.address, headers)?;
    let beyond = (peer != home.address).then(|| Home::of(peer));
    let home = beyond.as_ref().unwrap_or(home);
    let query =
        query.ok_or_else(|| refusal(StatusCode::NOT_FOUND, "nothing is here; lines have a query, ?a=…"))?;
    let received = line::Received::read(query, &home.name, &home.subnet)
        .map_err(|error| refusal(StatusCode::BAD_REQUEST, &error.to_string()))?;
    let parcel = Parcel { from: peer, kind: Kind::Line, body: Bytes::copy_from_slice(query.as_bytes()) };
    Ok(app.keeper.keep(vec![Message::Line(Box::new(received))], parcel))
}

/// Where a box is that may send something now; with what it is told where it may not.
#[expect(clippy::result_large_err, reason = "it is the answer, and made seldom")]
fn admit(app: &App, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, Response> {
    if !app.access.lets_box_in(headers) {
        return Err(unauthorized());
    }
    let peer = app.proxies.client(peer, headers);
    if !app.limit.admit(peer, 1) {
        return Err(refusal(StatusCode::TOO_MANY_REQUESTS, "too many requests from this address"));
    }
    Ok(peer)
}

/// What a client with no or another password is told.
pub(crate) fn unauthorized() -> Response {
    let mut answer =
        (StatusCode::UNAUTHORIZED, json!({ "message": "Unauthorized" }).to_string()).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"stbeacon\""));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

async fn heartbeat(app: &App, peer: IpAddr, headers: &HeaderMap, body: Body) -> Response {
    let body = match body::read(headers, body).await {
        Ok(body) => body,
        Err(error) => return refusal(error.status(), &error.to_string()),
    };
    let received = match beat::Received::read(&body, &peer.to_string(), &subnet(peer)) {
        Ok(received) => received,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let (sid, seq) = received.id();
    let client = received.client.clone();
    let parcel = Parcel { from: peer, kind: Kind::Beat, body };
    match app.keeper.keep(vec![Message::Beat(Box::new(received))], parcel).await {
        Ok(()) => json_of(&json!({
            "t": "CwsServerResponse", "err": "ok", "sid": sid, "seq": seq, "clid": client,
            "cfg": { "hbi": app.beat_interval / 1000, "maxhbinfos": 2, "slg": false, "csi_en": false },
        })),
        Err(NotNow) => not_now(),
    }
}

async fn reports(app: &App, peer: IpAddr, headers: &HeaderMap, body: Body) -> Response {
    let body = match body::read(headers, body).await {
        Ok(body) => body,
        Err(error) => return refusal(error.status(), &error.to_string()),
    };
    let received = match receive_batch(&body) {
        Ok(received) => received,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    for error in &received.refused {
        log::warn!("from {peer}: {error}");
    }
    if let (Some(error), true) = (received.refused.first(), received.reports.is_empty()) {
        return refusal(StatusCode::BAD_REQUEST, &error.to_string());
    }
    let device = device(headers, peer);
    let weight: u64 = received.reports.iter().map(weight).sum();
    if !app.limit.admit(peer, weight) {
        return refusal(StatusCode::TOO_MANY_REQUESTS, "too many reports from this address");
    }
    let (taken, skipped) = (received.reports.len(), received.skipped.len());
    let refused: Vec<_> = received.refused.iter().map(ToString::to_string).collect();
    let subnet = subnet(peer);
    let messages = received.reports.into_iter().map(|report| message(report, &device, &subnet)).collect();
    let parcel = Parcel { from: peer, kind: Kind::Reports(device), body };
    match app.keeper.keep(messages, parcel).await {
        Ok(()) => json_of(&json!({ "reports": taken, "skipped": skipped, "refused": refused })),
        Err(NotNow) => not_now(),
    }
}

/// What taking a report costs: each minute that it tells of is booked.
fn weight(report: &Report) -> u64 {
    match report {
        Report::Network(_) => 0,
        Report::Media(report) => {
            let minutes = (report.span.end() - report.span.begin()) * 1000 / MINUTE;
            minutes.min(2880) / MINUTES_PER_WEIGHT
        }
    }
}

/// Who a box says it is; else where it is.
fn device(headers: &HeaderMap, peer: IpAddr) -> String {
    let told = headers.get(MAC_ADDRESS).and_then(|value| value.to_str().ok()).map(|text| clipped(text, 64));
    told.filter(|told| !told.is_empty()).map_or_else(|| peer.to_string(), |told| told.to_ascii_lowercase())
}

/// The picture, under headers in a map that is empty.
fn pixel(mut headers: HeaderMap) -> Response {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/gif"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut answer = Response::new(Body::from(PIXEL));
    *answer.headers_mut() = headers;
    answer
}

fn json_of(value: &serde_json::Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn not_now() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "not now; come again")
}

/// What is wrong, for people; with when to come again, where that is of use.
fn refusal(status: StatusCode, why: &str) -> Response {
    let text: String = why.chars().take(500).chain(['\n']).collect();
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    let mut answer = (status, headers, text).into_response();
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    }
    answer
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Some("00:11:22:AA:BB:CC"), "00:11:22:aa:bb:cc")]
    #[case(Some(" "), "192.0.2.1")]
    #[case(None, "192.0.2.1")]
    fn boxes(#[case] told: Option<&'static str>, #[case] expected: &str) {
        let mut headers = HeaderMap::new();
        if let Some(told) = told {
            headers.insert(MAC_ADDRESS, HeaderValue::from_static(told));
        }
        assert_eq!(device(&headers, "192.0.2.1".parse().unwrap()), expected);
    }
}
