//! The OpenAPI document and the routes say the same.

use serde_json::Value;

use super::support::Rig;

#[tokio::test]
async fn every_route_of_the_document_is_served_and_described() {
    let rig = Rig::start().await;
    let document = rig.send("GET", "/api/openapi.json", &[], Value::Null).await.body;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 12, "{paths:?}");
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} does not say what it is for");
            let concrete = path.replace("{chat}", &uuid::Uuid::nil().to_string()).replace(['{', '}'], "");
            let answer = rig.send(&method.to_uppercase(), &concrete, &[], Value::Null).await;
            assert_ne!(answer.status, 405, "{method} {path}");
            let open = operation["security"].as_array().unwrap().is_empty();
            assert_eq!(answer.status == 401, !open, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn every_refusal_says_what_its_status_asks_for() {
    let rig = Rig::start().await;
    let document = rig.send("GET", "/api/openapi.json", &[], Value::Null).await.body;
    let mut served: Vec<(String, Vec<String>)> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{chat}", &uuid::Uuid::nil().to_string()).replace(['{', '}'], "");
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        for method in &methods {
            let answer = rig.send(method, &path, &[("authorization", "Bearer forged")], Value::Null).await;
            let asks = answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap());
            assert_eq!(answer.status == 401, asks.is_some_and(|asks| asks.contains("realm=")), "{method} {path}");
        }
        served.push((path, methods));
    }
    for (path, method) in [
        ("/livez", "GET"),
        ("/api/health", "GET"),
        ("/docs", "GET"),
        ("/", "GET"),
        ("/connection/websocket", "GET"),
        ("/connection/http_stream", "POST"),
        ("/connection/sse", "GET"),
        ("/emulation", "POST"),
    ] {
        served.push((path.to_owned(), vec![method.to_owned()]));
    }
    for (path, methods) in served {
        let wrong = ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter();
        for wrong in wrong.filter(|wrong| !methods.iter().any(|method| method == wrong)) {
            let answer = rig.send(wrong, &path, &[], Value::Null).await;
            assert_eq!(answer.refusal(), (405, "method_not_allowed"), "{wrong} {path}");
            let allowed = answer.headers.get("allow").map(|value| value.to_str().unwrap()).unwrap_or_default();
            for method in &methods {
                assert!(allowed.split(',').any(|one| one == method), "{wrong} {path}: {allowed:?} names not {method}");
            }
        }
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = serde_json::to_value(super::super::document()).unwrap();
    let text = document.to_string();
    for piece in text.split("\"$ref\":\"#").skip(1) {
        let pointer = piece.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}
