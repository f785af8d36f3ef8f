//! Every answer that is not a success, as `application/problem+json`
//! ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use guesthouse::{Error, InvalidEmail};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// How many seconds a client waits after contention; the service has already repeated a write itself.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What is wrong, for a program to act on. `about:blank` says no more than the status does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The path, the query or the body cannot be read.
    BadRequest,
    /// The body is JSON, but not what is asked for.
    InvalidBody,
    /// The e-mail address is not one.
    InvalidEmail,
    /// The body is too long.
    BodyTooLarge,
    /// The body does not say that it is JSON.
    NotJson,
    /// Nothing has this path.
    NoSuchPath,
    /// The path has no such method.
    MethodNotAllowed,
    /// No user has the id.
    UserNotFound,
    /// The user does not exist or is not a host.
    NotHost,
    /// Another user has the e-mail address.
    EmailTaken,
    /// The id belongs to a user with another e-mail address.
    IdTaken,
    /// The user is a host and cannot be deleted.
    StillHost,
    /// Rows of other tables refer to what was to be deleted.
    StillReferenced,
    /// Others were first, again and again; nothing was done.
    Contention,
    /// The connection to the database was lost; it may have been done.
    OutcomeUnknown,
    /// The time for the request was up; it may have been done.
    TimedOut,
    /// Anything that is the service's own fault.
    Internal,
}

impl ProblemKind {
    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::InvalidBody | Self::InvalidEmail => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoSuchPath | Self::UserNotFound | Self::NotHost => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::EmailTaken
            | Self::IdTaken
            | Self::StillHost
            | Self::StillReferenced
            | Self::Contention => StatusCode::CONFLICT,
            Self::OutcomeUnknown | Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The URI that names it. It identifies and leads nowhere, which is what `tag:` is for.
    pub fn uri(self) -> &'static str {
        match self {
            Self::UserNotFound => "tag:guesthouse.example,2026:user-not-found",
            Self::NotHost => "tag:guesthouse.example,2026:not-host",
            Self::InvalidEmail => "tag:guesthouse.example,2026:invalid-email",
            Self::EmailTaken => "tag:guesthouse.example,2026:email-taken",
            Self::IdTaken => "tag:guesthouse.example,2026:id-taken",
            Self::StillHost => "tag:guesthouse.example,2026:still-host",
            Self::StillReferenced => "tag:guesthouse.example,2026:still-referenced",
            Self::Contention => "tag:guesthouse.example,2026:contention",
            Self::OutcomeUnknown => "tag:guesthouse.example,2026:outcome-unknown",
            Self::TimedOut => "tag:guesthouse.example,2026:timed-out",
            Self::BadRequest
            | Self::InvalidBody
            | Self::BodyTooLarge
            | Self::NotJson
            | Self::NoSuchPath
            | Self::MethodNotAllowed
            | Self::Internal => "about:blank",
        }
    }

    /// One line for people, the same each time.
    pub fn title(self) -> &'static str {
        match self {
            Self::UserNotFound => "There is no such user",
            Self::NotHost => "The user is not a host",
            Self::InvalidEmail => "The e-mail address is not valid",
            Self::EmailTaken => "The e-mail address is taken",
            Self::IdTaken => "The id belongs to another user",
            Self::StillHost => "The user is still a host",
            Self::StillReferenced => "Something else still refers to it",
            Self::Contention => "Others were first",
            Self::OutcomeUnknown => "It may have been done or not",
            Self::TimedOut => "It took too long",
            // RFC 9457 wants the status phrase with `about:blank`.
            Self::BadRequest
            | Self::InvalidBody
            | Self::BodyTooLarge
            | Self::NotJson
            | Self::NoSuchPath
            | Self::MethodNotAllowed
            | Self::Internal => self.status().canonical_reason().unwrap_or("Error"),
        }
    }

    /// What to do about it, where there is something to say.
    fn advice(self) -> Option<&'static str> {
        match self {
            Self::StillHost => Some("Delete the host first."),
            Self::Contention => Some("Nothing was done. Try again."),
            Self::OutcomeUnknown | Self::TimedOut => Some(
                "A read did nothing; a write may have been done or not. PUT can be repeated and \
                 gives the one account or host. A repeated DELETE answers 404, and a repeated POST \
                 409, if the first one was done.",
            ),
            _ => None,
        }
    }
}

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    #[schema(value_type = String, format = "uri", example = "tag:guesthouse.example,2026:email-taken")]
    uri: &'static str,
    /// The kind of problem in words.
    #[schema(value_type = String, example = "The e-mail address is taken")]
    title: &'static str,
    /// The status of the response, again.
    #[schema(example = 409)]
    status: u16,
    /// What is wrong with this request, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
    #[serde(skip)]
    kind: ProblemKind,
}

impl Problem {
    /// A problem with what there is to say about its kind.
    pub fn new(kind: ProblemKind) -> Self {
        Self {
            uri: kind.uri(),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: kind.advice().map(str::to_owned),
            kind,
        }
    }

    /// Adds what there is to say about this one.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }
}

impl From<InvalidEmail> for Problem {
    fn from(error: InvalidEmail) -> Self {
        Self::new(ProblemKind::InvalidEmail).because(error.to_string())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::EmailTaken => ProblemKind::EmailTaken,
            Error::UserIdTaken { .. } => ProblemKind::IdTaken,
            Error::UserNotFound { .. } => ProblemKind::UserNotFound,
            Error::StillHost { .. } => ProblemKind::StillHost,
            Error::StillReferenced { .. } => ProblemKind::StillReferenced,
            Error::Contention { .. } => ProblemKind::Contention,
            Error::OutcomeUnknown { .. } => ProblemKind::OutcomeUnknown,
            _ => ProblemKind::Internal,
        };
        // Without `source()`: what the driver says can hold an address.
        if kind.status().is_server_error() {
            tracing::error!(%error, "a request failed");
        }
        Self::new(kind)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.kind.status(), Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.kind == ProblemKind::Contention {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
