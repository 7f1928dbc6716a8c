//! The OpenAPI document, from the routes themselves.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, ParameterBuilder};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, LicenseBuilder, OpenApi, RefOr, Response, Schema, Server};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::{ErrorBody, examples, refusals};

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
    api.servers = Some(vec![Server::new("/")]);
    let schemas = &components.schemas;
    for (path, item) in &mut api.paths.paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            complete(path, operation, schemas);
        }
    }
    api
}

/// Says of an operation what its attribute does not.
fn complete(path: &str, operation: &mut Operation, schemas: &BTreeMap<String, RefOr<Schema>>) {
    let tag = operation.tags.iter().flatten().next().map_or("", String::as_str);
    let name = operation.operation_id.as_deref().unwrap_or_default();
    // One function of a name for each tag; tools want one in all.
    let id = format!("{}_{name}", tag.replace('-', "_"));
    operation.security.get_or_insert_default();
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = meaning(response, schemas).unwrap_or_else(|| status.clone());
        }
    }
    refusals::describe(path, &id, operation);
    if let (Some(RefOr::T(body)), Some(example)) = (&mut operation.request_body, examples::body(&id))
        && let Some(RefOr::T(content)) = body.content.get_mut("application/json")
    {
        content.example = Some(example);
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.name == "chat"
        {
            let described = ParameterBuilder::from(parameter.clone());
            *parameter = described.example(Some(examples::CHAT.into())).build();
        }
    }
    operation.operation_id = Some(id);
}

/// What the type of an answer says of itself.
fn meaning(response: &Response, schemas: &BTreeMap<String, RefOr<Schema>>) -> Option<String> {
    let RefOr::T(content) = response.content.values().next()? else { return None };
    let Some(RefOr::Ref(to)) = &content.schema else { return None };
    let name = to.ref_location.rsplit('/').next()?;
    let Some(RefOr::T(schema)) = schemas.get(name) else { return None };
    let about = serde_json::to_value(schema).ok()?["description"].as_str()?.to_owned();
    about.lines().next().map(ToOwned::to_owned)
}

const ABOUT: &str = "The chat over HTTP: the same operations as the rpc methods of the socket, over the same handlers. \
                     Times are milliseconds since the Unix epoch. Errors have one shape, `{\"error\":{\"code\",\
                     \"message\",\"retry_after_ms\"?}}`; go by the code.";
