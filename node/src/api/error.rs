//! Errors as the API gives them: an HTTP status and one JSON shape, whoever found the error.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use synod_ledger::TxError;
use synod_machine::{Reject, WireError};

use super::client::ApiError;
use super::types::{ErrorBody, ErrorDetail};
use crate::handle::{Stopped, SubmitError};
use crate::store::StoreError;

/// A request that was not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    detail: ErrorDetail,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, detail: ErrorDetail { code: code.to_owned(), message: message.into(), hint: None } }
    }

    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.detail.hint = Some(hint.to_owned());
        self
    }

    pub(crate) fn code(&self) -> &str {
        &self.detail.code
    }

    pub(crate) fn into_body(self) -> ErrorBody {
        ErrorBody { error: self.detail }
    }

    /// A peer that keeps headers alone does not know something.
    pub(crate) fn light(what: &str) -> Self {
        let message = format!("this peer keeps headers alone and does not know {what}");
        Self::new(StatusCode::CONFLICT, "light", message).hint("ask a full peer")
    }

    /// The node changes over to another branch, or loads, and cannot say yet.
    pub(crate) fn unsettled() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unsettled",
            "the node is loading or changing over to another branch",
        )
        .hint("ask again in a moment")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorBody { error: self.detail })).into_response()
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", stopped.to_string())
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(error) => error.into(),
            SubmitError::Stopped(stopped) => stopped.into(),
            SubmitError::Unknown => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ApiError::UNKNOWN_RESULT, error.to_string())
                    .hint("ask for the transaction when the node is back, or submit the same payment again")
            }
        }
    }
}

impl From<synod_consensus::SubmitError> for Failure {
    fn from(error: synod_consensus::SubmitError) -> Self {
        use synod_consensus::SubmitError;
        match error {
            SubmitError::Halted { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "halted", error.to_string()),
            SubmitError::Loading => Self::unsettled(),
            SubmitError::TooMany { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_pending", error.to_string())
            }
            SubmitError::Tx(error) => error.into(),
        }
    }
}

impl From<TxError> for Failure {
    fn from(error: TxError) -> Self {
        // What contradicts this peer's present state may be right later or elsewhere; what breaks a rule is never right.
        let (status, hint) = match error {
            TxError::Ancestors { .. } => {
                (StatusCode::CONFLICT, Some("wait until the payments that it builds on are confirmed"))
            }
            TxError::Conflict { .. } => {
                (StatusCode::CONFLICT, Some("the coin is spent by a payment that came first; pay with another coin"))
            }
            TxError::Full { .. } => (StatusCode::CONFLICT, Some("the mempool is full; pay a higher fee or wait")),
            TxError::Immature { .. } => {
                (StatusCode::CONFLICT, Some("wait until the coinbase is mature, or pay with another coin"))
            }
            TxError::MissingCoin { .. } => {
                (StatusCode::CONFLICT, Some("the coin may be spent meanwhile, or not be known to this peer yet"))
            }
            TxError::FeeTooLow { .. } => (StatusCode::UNPROCESSABLE_ENTITY, Some("pay at least the chain's `fee_min`")),
            TxError::ForeignChain { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, Some("the payment was signed for another network"))
            }
            TxError::AmountOverflow
            | TxError::InputCount { .. }
            | TxError::Key { .. }
            | TxError::OutputCount { .. }
            | TxError::Overspend { .. }
            | TxError::Signature { .. }
            | TxError::Size { .. }
            | TxError::StakeForeign { .. }
            | TxError::StakeShared { .. }
            | TxError::StakeSpent { .. }
            | TxError::StakeUnknown { .. }
            | TxError::StakeUnlock { .. }
            | TxError::Twice { .. }
            | TxError::ZeroOutput { .. } => (StatusCode::UNPROCESSABLE_ENTITY, None),
        };
        let failure = Self::new(status, error.reason().name(), error.to_string());
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Malformed => {
                let message = "the bytes are not the one encoding of a payment";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, Reject::Malformed.name(), message)
            }
            WireError::Oversized { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, Reject::Oversized.name(), error.to_string())
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store cannot be read");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store", error.to_string())
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        let failure = from_status(rejection.status(), rejection.body_text());
        match rejection {
            JsonRejection::MissingJsonContentType(_) => failure.hint("send `content-type: application/json`"),
            _ => failure,
        }
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        from_status(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        from_status(rejection.status(), rejection.body_text())
    }
}

/// No such route.
pub(crate) async fn not_found(uri: Uri) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at {}", uri.path()))
        .hint("GET /openapi.json lists what there is")
}

/// The route is there but not for this method.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    let message = format!("{} cannot be asked with {method}", uri.path());
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        .hint("the header `allow` lists the methods")
}

fn from_status(status: StatusCode, message: String) -> Failure {
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid_body",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        _ => "bad_request",
    };
    Failure::new(status, code, message)
}
