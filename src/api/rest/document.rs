//! The OpenAPI document, from the routes themselves.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, LicenseBuilder, OpenApi};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::ErrorBody;

/// Of every route under `/api`.
#[must_use]
pub fn document() -> OpenApi {
    let (_, mut api) = super::described().split_for_parts();
    api.info = InfoBuilder::new()
        .title("Kervan")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = api.components.get_or_insert_with(Components::new);
    // Errors stand in every route's responses by name only.
    let mut errors = vec![(ErrorBody::name().into_owned(), ErrorBody::schema())];
    ErrorBody::schemas(&mut errors);
    components.schemas.extend(errors);
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let key = ApiKeyValue::with_description(super::backend::KEY, "`[api] key` of the configuration");
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(key)));
    api
}

const ABOUT: &str = "The chat over HTTP: the same operations as the rpc methods of the socket, over the same handlers. \
                     Times are milliseconds since the Unix epoch. Errors have one shape, `{\"error\":{\"code\",\
                     \"message\",\"retry_after_ms\"?}}`; go by the code.";
