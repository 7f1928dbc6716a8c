//! The OpenAPI document and the routes say the same.

use serde_json::Value;

use super::rig::Rig;

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
            let open = operation["security"].is_null();
            assert_eq!(answer.status == 401, !open, "{method} {path}: {answer:?}");
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
