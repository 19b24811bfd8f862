import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@testable import RESTInterface

@Suite struct RequestFormTests {
    @Test(arguments: [
        "/", "/nothing", "/api/v1", "/api/v2/rules", "/api/v1/devices/", "/api/v1/devices/a/b", "//api/v1/rules", "/api//v1/rules",
        "/API/v1/rules", "/api/v1/rules/g", "/api/v1/rules/g/n/x", "/healthz/", "/api/v1/groups/a/../b",
    ])
    func `An unknown path is a problem`(path: String) async throws {
        expectProblem(try await (await FakeOperations()).get(path), 404, "not-found", saying: "there is nothing at")
    }

    @Test(arguments: [
        ("/healthz", "GET, HEAD"), ("/readyz", "GET, HEAD"), ("/metrics", "GET, HEAD"), ("/api/v1/rules", "GET, HEAD"),
        ("/api/v1/rules/g/n", "GET, HEAD"), ("/api/v1/groups", "GET, HEAD"), ("/api/v1/groups/g", "GET, HEAD, PUT, DELETE"),
        ("/api/v1/alerts", "GET, HEAD"), ("/api/v1/devices", "GET, HEAD"), ("/api/v1/devices/d", "GET, HEAD, PUT, PATCH, DELETE"),
        ("/api/v1/profiles", "GET, HEAD"), ("/api/v1/profiles/p", "GET, HEAD, PUT, DELETE"), ("/api/v1/vars", "GET, HEAD"),
        ("/api/v1/vars/v", "GET, HEAD, PUT, DELETE"), ("/api/v1/reload", "POST"),
    ])
    func `A wrong method is a problem that names the right ones`(path: String, allowed: String) async throws {
        let server = await FakeOperations()
        let right = allowed.split(separator: ", ").map(String.init)
        for method in HTTPMethodName.allCases {
            let reply = try await server.ask(method.method, path)
            #expect((reply.status == 405) == !right.contains(method.rawValue), "\(method)")
            guard reply.status == 405 else { continue }
            #expect(reply.headers[.allow] == allowed)
            if method != .head { expectProblem(reply, 405, "method-not-allowed", saying: allowed) }
        }
    }

    @Test(arguments: [
        "/healthz", "/readyz", "/metrics", "/api/v1/rules", "/api/v1/groups/g", "/api/v1/devices", "/api/v1/devices/none", "/nothing",
    ])
    func `HEAD answers what GET answers, without the body`(path: String) async throws {
        let server = await FakeOperations { $0.groupTexts["g"] = GroupText(name: "g", yaml: "name: g\n", file: nil) }
        let get = try await server.get(path), head = try await server.ask(.head, path)
        #expect(head.status == get.status)
        #expect(head.text.isEmpty)
        #expect(head.headers[.contentType] == get.headers[.contentType])
        #expect(head.headers[.contentLength] == "\(get.text.utf8.count)")
    }

    @Test(arguments: [
        ("", 0), ("{", 1), (#"{"config": }"#, 11), (#"{"config": {"a": 01}}"#, 19), (#"{"config": {}} x"#, 15),
        (#"{"config": {}, "config": {}}"#, 23), (#"{"a": 1e999}"#, 11), (String(repeating: "[", count: 5000), 129), ("\u{FEFF}{}", 0),
    ])
    func `A body that is no JSON is refused with the place`(body: String, offset: Int) async throws {
        let server = await FakeOperations { $0.deviceRecords["d"] = DeviceRecord(id: "d") }
        for method in [HTTPRequest.Method.put, .patch] {
            let reply = try await server.ask(method, "/api/v1/devices/d", body)
            expectProblem(reply, 400, "invalid-json", saying: "at byte \(offset)")
            #expect(reply.document["offset"] == .int(Int64(offset)))
        }
    }

    @Test(arguments: [
        ("PUT", "/api/v1/devices/d", "text/plain"), ("PUT", "/api/v1/devices/d", ""),
        ("PUT", "/api/v1/devices/d", "application/x-www-form-urlencoded"),
        ("PUT", "/api/v1/devices/d", "application/jsonx"), ("PUT", "/api/v1/devices/d", "application/merge-patch+json"),
        ("PUT", "/api/v1/profiles/p", "text/json"), ("PUT", "/api/v1/vars/v", "multipart/form-data"),
        ("PUT", "/api/v1/groups/g", "text/plain"),
        ("PUT", "/api/v1/groups/g", ""), ("PATCH", "/api/v1/devices/d", "application/json-patch+json"),
    ])
    func `A body of another media type is refused, naming the right one`(method: String, path: String, type: String) async throws {
        let reply = try await (await FakeOperations()).ask(.init(rawValue: method) ?? .get, path, "{}", type: type)
        let right = path.contains("groups") ? "application/yaml" : method == "PATCH" ? "application/merge-patch+json" : "application/json"
        expectProblem(reply, 415, "unsupported-media-type", saying: right)
        #expect(reply.headers[method == "PATCH" ? .acceptPatch : .accept] == right)
    }

    @Test(arguments: ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/json ;charset=utf-8"])
    func `A media type may have parameters and capitals`(type: String) async throws {
        #expect(try await (await FakeOperations()).ask(.put, "/api/v1/devices/d", "{}", type: type).status == 201)
    }

    @Test func `A JSON body may have 1 MiB and no more`() async throws {
        let server = await FakeOperations()
        let most = "{}" + String(repeating: " ", count: (1 << 20) - 2)
        #expect(try await server.ask(.put, "/api/v1/devices/d", most).status == 201)
        expectProblem(try await server.ask(.put, "/api/v1/devices/d", most + " "), 413, "too-large", saying: "1048576")
        expectProblem(try await server.ask(.patch, "/api/v1/devices/d", most + " "), 413, "too-large")
    }

    @Test(arguments: ["/api/v1/rules?x=1", "/api/v1/devices/d?force=true", "/api/v1/devices?limt=1", "/api/v1/reload?x"])
    func `A query parameter that is not known is refused`(path: String) async throws {
        let server = await FakeOperations { $0.deviceRecords["d"] = DeviceRecord(id: "d") }
        let method: HTTPRequest.Method = path.contains("reload") ? .post : path.contains("force") ? .delete : .get
        expectProblem(try await server.ask(method, path), 400, "invalid-request", saying: "there is no query parameter")
        #expect(await server.deviceRecords["d"] != nil)
        #expect(await server.reloads == 0)
    }

    @Test(arguments: [
        (HTTPMethodName.get, "/api/v1/devices", nil), (.get, "/api/v1/devices/d", nil), (.put, "/api/v1/devices/d", "{}"),
        (.patch, "/api/v1/devices/d", "{}"),
        (.delete, "/api/v1/devices/d", nil), (.get, "/api/v1/profiles", nil), (.put, "/api/v1/profiles/p", "{}"),
        (.get, "/api/v1/vars", nil),
        (.put, "/api/v1/vars/v", #"{"value":1}"#), (.delete, "/api/v1/vars/v", nil), (.put, "/api/v1/groups/g", "name: g"),
        (.delete, "/api/v1/groups/g", nil),
    ])
    func `A store that is away is 503, one that refuses 500, both with the reason`(method: HTTPMethodName, path: String, body: String?)
        async throws
    {
        let server = await FakeOperations { $0.failure = .unavailable("mongodb: no primary") }
        let away = try await server.ask(method.method, path, body)
        expectProblem(away, 503, "unavailable", saying: "mongodb: no primary")
        #expect(away.headers[.retryAfter] == "1")
        await server.change { $0.failure = .refused("not authorized") }
        expectProblem(try await server.ask(method.method, path, body), 500, "internal-error", saying: "not authorized")
    }

    @Test func `Answers are not kept by caches nor guessed at by browsers`() async throws {
        let reply = try await (await FakeOperations()).get("/api/v1/rules")
        #expect(reply.headers[.cacheControl] == "no-store")
        #expect(reply.headers[.xContentTypeOptions] == "nosniff")
    }
}
