//! What all requests share, and which of them goes where.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::json;

use crate::access::Access;
use crate::connector;
use crate::desk::Desk;
use crate::insights;
use crate::keeper::Keeper;
use crate::page;
use crate::proxies::Proxies;
use crate::receive::home::Home;
use crate::receive::limit::Limit;
use crate::receive::{receive, receive_line, unauthorized};
use crate::store::{Lookup, Reader};

/// Whose connection a request came by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What all requests share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) keeper: Keeper,
    pub(crate) reader: Arc<Mutex<dyn Reader>>,
    pub(crate) lookup: Arc<Mutex<dyn Lookup>>,
    pub(crate) access: Arc<Access>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) limit: Arc<Limit>,
    /// Between two heartbeats, in ms.
    pub(crate) beat_interval: u64,
    /// Name of the account that the API answers for.
    pub(crate) account: Arc<str>,
    pub(crate) desk: Desk,
}

/// What answers on a port.
pub(crate) struct Front {
    /// Where lines are received.
    app: Option<App>,
    router: TowerToHyperService<Router>,
}

// === impl Front ===

impl Front {
    pub(crate) fn new(app: App) -> Self {
        let router = TowerToHyperService::new(router(app.clone()));
        Self { app: Some(app), router }
    }

    /// Without boxes.
    pub(crate) fn beside(router: Router) -> Self {
        Self { app: None, router: TowerToHyperService::new(router) }
    }

    pub(crate) fn answer(
        &self,
        home: &Home,
        mut request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
        // What comes most often is handed on at once: no question's path ends so, and the router would lead it there, too.
        let answer = if let (Some(app), &Method::GET, true) =
            (&self.app, request.method(), request.uri().path().ends_with(".gif"))
        {
            // The request is dropped before its answer is waited for: what it was read into is used again.
            Ok(receive_line(app, home, request.into_parts().0))
        } else {
            request.extensions_mut().insert(Peer(home.address));
            Err(self.router.call(request))
        };
        async move {
            match answer {
                Ok(line) => Ok(line.await),
                Err(other) => other.await,
            }
        }
    }
}

/// Questions have their paths; everything else is what boxes send, at whatever path they like.
pub(crate) fn router(app: App) -> Router {
    let questions = Router::new()
        .route("/-/status", get(status))
        .merge(insights::router())
        .merge(page::router())
        .merge(connector::router())
        .layer(middleware::from_fn_with_state(app.clone(), only_with_password));
    questions.fallback(else_what).with_state(app)
}

/// The page where nothing but the root is asked for; else what a box sends.
async fn else_what(State(app): State<App>, peer: Extension<Peer>, request: Request) -> Response {
    let uri = request.uri();
    if request.method() != Method::GET || uri.path() != "/" || uri.query().is_some() {
        return receive(State(app), peer, request).await;
    }
    if !app.access.is_called(request.headers()) {
        return wrong_host();
    }
    if app.access.lets_in(request.headers()) { page::home() } else { unauthorized() }
}

async fn only_with_password(State(app): State<App>, request: Request, next: Next) -> Response {
    if !app.access.is_called(request.headers()) {
        return wrong_host();
    }
    if !app.access.lets_in(request.headers()) {
        return unauthorized();
    }
    // Who asks is told of all that was answered.
    app.keeper.settle().await;
    next.run(request).await
}

/// It is called by a name that is not its own.
fn wrong_host() -> Response {
    let message = "without --credentials only localhost and loopback addresses may be asked for here; name others with --host";
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::MISDIRECTED_REQUEST, headers, json!({ "message": message }).to_string()).into_response()
}

/// How the collector fares.
async fn status(State(app): State<App>) -> Response {
    let status = app.keeper.status();
    let received: serde_json::Map<_, _> =
        status.counts.named().into_iter().map(|(name, number)| (name.to_owned(), number.into())).collect();
    let body = json!({
        "running_sessions": status.running,
        "store_writable": status.is_writable,
        "spooled_bytes": status.spooled,
        "received": received,
    });
    ([(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
