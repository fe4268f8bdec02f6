//! What the API says of itself is so: each path that is described answers as it is described.

use serde_json::{Map, Value, json};

use crate::harness::{Collector, lines_of_the_past};

/// What is wrong with a body by a schema of the document.
fn wrong(document: &Value, schema: &Value, body: &Value) -> Vec<String> {
    let mut whole = schema.as_object().unwrap().clone();
    whole.insert("components".to_owned(), document["components"].clone());
    let validator = jsonschema::validator_for(&Value::Object(whole)).unwrap();
    validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// The path with its examples in it; those that must be there alone, or all.
fn filled(path: &str, parameters: &Value, all: bool) -> String {
    let (mut path, mut query) = (path.to_owned(), Vec::new());
    for parameter in parameters.as_array().unwrap() {
        let (name, example) = (parameter["name"].as_str().unwrap(), parameter["example"].as_str().unwrap());
        if parameter["in"] == "path" {
            path = path.replace(&format!("{{{name}}}"), example);
        } else if all || parameter["required"] == true {
            query.push(format!("{name}={}", example.replace(' ', "%20")));
        }
    }
    assert!(!path.contains('{'), "{path}: a part of it is not described");
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

/// Each `$ref` leads somewhere.
fn references(value: &Value, document: &Value, count: &mut usize) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(to)) = fields.get("$ref") {
                assert!(document.pointer(to.strip_prefix('#').unwrap()).is_some(), "{to}");
                *count += 1;
            }
            fields.values().for_each(|value| references(value, document, count));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, document, count)),
        _ => {}
    }
}

#[test]
fn every_path_answers_as_it_is_described() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    for line in lines_of_the_past("vod_with_seeks_and_pauses") {
        assert_eq!(collector.line(&line).status, 200);
    }
    assert_eq!(collector.line("a=I~c=1~d=b~e=0~w=0~_cd_1000=lab").status, 200);
    let document = collector.ask("/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let mut count = 0;
    references(&document, &document, &mut count);
    assert!(count > 20, "{count}");

    let rule = json!({ "field": "CDN", "op": "equals", "value": "x" });
    let rules = json!({ "op": "and", "rules": [rule] });
    let filters = json!([{ "name": "A", "rules": rules }, { "name": "B", "advanced": true, "rules": rules }]);
    let mut asked = 0;
    let none = Map::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        // What makes before what takes away.
        for method in ["post", "get", "delete"] {
            let Some(what) = methods.get(method) else { continue };
            let body = match what.get("requestBody") {
                Some(body) => {
                    let schema = &body["content"]["application/json"]["schema"];
                    assert_eq!(wrong(&document, schema, &filters), Vec::<String>::new());
                    filters.to_string()
                }
                None => String::new(),
            };
            for all in [true, false] {
                let asked_for = filled(path, &what["parameters"], all);
                let answer = collector.send(&method.to_uppercase(), &asked_for, "", body.as_bytes());
                let told: Value = serde_json::from_slice(&answer.body).unwrap();
                // What was made or taken away the first time cannot be again.
                let is_again = !all && method != "get";
                // One table is asked for with what it needs, or not.
                let lacks = !all && path.ends_with("/metrics.json");
                let expected = match (method, is_again || lacks) {
                    (_, true) => "default",
                    ("post", false) => "201",
                    (_, false) => "200",
                };
                let responses = what["responses"].as_object().unwrap_or(&none);
                let schema = &responses[expected]["content"]["application/json"]["schema"];
                let status = answer.status.to_string();
                let is_expected =
                    if expected == "default" { !responses.contains_key(&status) } else { status == expected };
                assert!(is_expected, "{method} {asked_for}: {}", answer.text());
                assert_eq!(
                    wrong(&document, schema, &told),
                    Vec::<String>::new(),
                    "{method} {asked_for}: {told}"
                );
                asked += 1;
            }
        }
    }
    assert_eq!(asked, 38);
    // A schema that takes everything would show nothing.
    let series = json!({ "$ref": "#/components/schemas/Series" });
    assert!(!wrong(&document, &series, &json!({ "time_series": [] })).is_empty());
}
