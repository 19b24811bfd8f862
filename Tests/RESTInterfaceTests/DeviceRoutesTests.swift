import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@Suite struct DeviceRoutesTests {
    @Test func `A device is made with 201 and its place, and replaced with 200`() async throws {
        let server = await FakeOperations()
        let made = try await server.ask(
            .put, "/api/v1/devices/f3", #"{"profile": null, "config": {"max_pressure": 5.0}, "labels": {"site": "oslo"}}"#)
        #expect(made.status == 201)
        #expect(made.headers[.location] == "/api/v1/devices/f3")
        #expect(
            made.document == [
                "id": "f3", "profile": .null, "config": ["max_pressure": 5], "labels": ["site": "oslo"],
                "effectiveConfig": ["max_pressure": 5],
            ])
        let replaced = try await server.ask(.put, "/api/v1/devices/f3", "{}")
        #expect(replaced.status == 200)
        #expect(replaced.headers[.location] == nil)
        #expect(replaced.document == ["id": "f3", "profile": .null, "config": [:], "labels": [:], "effectiveConfig": [:]])
        #expect(try await server.get("/api/v1/devices/f3").document == replaced.document)
    }

    @Test func `The device's own configuration lies over its profile's, member by member`() async throws {
        let server = await FakeOperations { fake in
            fake.profileRecords["freezer"] = ProfileRecord(name: "freezer", config: ["limits": ["low": -30, "high": -10], "unit": "C"])
            fake.deviceRecords["f1"] = DeviceRecord(id: "f1", profile: "freezer", config: ["limits": ["high": -5]])
        }
        let effective: Document = ["limits": ["low": -30, "high": -5], "unit": "C"]
        #expect(try await server.get("/api/v1/devices/f1").document["effectiveConfig"] == effective)
        #expect(try await server.get("/api/v1/devices").document["items"]?.array?.first?["effectiveConfig"] == effective)
        await server.change { $0.profileRecords = [:] }
        #expect(try await server.get("/api/v1/devices/f1").document["effectiveConfig"] == ["limits": ["high": -5]])
    }

    @Test(arguments: [
        (#"{"config": {"max": 9.0}}"#, #"{"id":"d","profile":"p","config":{"max":9,"min":1},"labels":{"a":"b"}}"#),
        (
            #"{"config": {"min": null, "deep": {"x": {"y": 1}}}}"#,
            #"{"id":"d","profile":"p","config":{"max":5,"deep":{"x":{"y":1}}},"labels":{"a":"b"}}"#
        ),
        (#"{"config": null, "profile": null}"#, #"{"id":"d","profile":null,"config":{},"labels":{"a":"b"}}"#),
        (#"{"labels": {"a": null, "c": "d"}}"#, #"{"id":"d","profile":"p","config":{"max":5,"min":1},"labels":{"c":"d"}}"#),
        (
            #"{"location": {"latitude": 59.9, "longitude": 10}}"#,
            #"{"id":"d","profile":"p","config":{"max":5,"min":1},"labels":{"a":"b"},"location":{"latitude":59.9,"longitude":10}}"#
        ),
        (#"{"id": "d"}"#, #"{"id":"d","profile":"p","config":{"max":5,"min":1},"labels":{"a":"b"}}"#),
        ("{}", #"{"id":"d","profile":"p","config":{"max":5,"min":1},"labels":{"a":"b"}}"#),
    ])
    func `A merge patch changes what it names`(patch: String, result: String) async throws {
        let server = await FakeOperations { fake in
            fake.deviceRecords["d"] = DeviceRecord(id: "d", profile: "p", config: ["max": 5, "min": 1], labels: ["a": "b"])
        }
        let reply = try await server.ask(.patch, "/api/v1/devices/d", patch)
        #expect(reply.status == 200)
        let expected = try Document(json: result)
        #expect(reply.document.members?.filter { $0.name != "effectiveConfig" } == expected.members)
        #expect(try await server.get("/api/v1/devices/d").document == reply.document)
    }

    @Test(arguments: [
        (#"{"config": 5}"#, "'config' must be an object"), (#"{"config": []}"#, "'config' must be an object"),
        (#"{"config": null}"#, "'config' must be an object"), (#"{"labels": []}"#, "'labels' must be an object"),
        (#"{"labels": {"a": 1}}"#, "'labels.a' must be a string"), (#"{"profile": 3}"#, "'profile' must be the name of a profile, or null"),
        (#"{"profile": ""}"#, "'profile' must be"), (#"{"id": "other"}"#, "'id' must be the one of the path, 'd'"),
        (#"{"confg": {}, "x": 1}"#, "unknown members 'confg', 'x'; did you mean 'config'?"), ("[]", "must be a JSON object"),
        (#""text""#, "must be a JSON object"), (#"{"location": {"latitude": 91, "longitude": 0}}"#, "'location' must be"),
        (#"{"location": [1, 2]}"#, "'location' must be"), (#"{"location": {"latitude": 1, "longitude": 0, "z": 1}}"#, "'location' must be"),
    ])
    func `A device that is not of the form is refused, and says what is wrong`(body: String, says: String) async throws {
        let server = await FakeOperations()
        expectProblem(try await server.ask(.put, "/api/v1/devices/d", body), 400, "invalid-request", saying: says)
        #expect(await server.deviceRecords.isEmpty)
    }

    @Test(arguments: [
        (#"{"config": 5}"#, "'config' must be an object"), (#"{"effectiveConfig": {}}"#, "unknown member 'effectiveConfig'"),
        (#"{"labels": {"a": 1}}"#, "'labels.a'"), (#"{"id": null}"#, "'id' must be the one of the path, 'd'"),
        ("null", "must be a JSON object"), ("[]", "must be a JSON object"),
    ])
    func `A patch whose result is not of the form is refused, and changes nothing`(patch: String, says: String) async throws {
        let before = DeviceRecord(id: "d", config: ["max": 5])
        let server = await FakeOperations { $0.deviceRecords["d"] = before }
        expectProblem(try await server.ask(.patch, "/api/v1/devices/d", patch), 400, "invalid-request", saying: says)
        #expect(await server.deviceRecords["d"] == before)
    }

    @Test func `What GET gives can be put back`() async throws {
        let device = DeviceRecord(id: "d", profile: "p", config: ["max": 5], labels: ["a": "b"], location: ["latitude": 1, "longitude": 2])
        let server = await FakeOperations { fake in
            fake.profileRecords["p"] = ProfileRecord(name: "p", config: ["min": 1])
            fake.deviceRecords["d"] = device
        }
        let text = try await server.get("/api/v1/devices/d").text
        #expect(try await server.ask(.put, "/api/v1/devices/d", text).status == 200)
        #expect(await server.deviceRecords["d"] == device)
    }

    @Test func `A device that is not there is a problem for GET, PATCH and DELETE`() async throws {
        let server = await FakeOperations()
        expectProblem(try await server.get("/api/v1/devices/x"), 404, "not-found", saying: "'x'")
        expectProblem(try await server.ask(.patch, "/api/v1/devices/x", "{}"), 404, "not-found", saying: "'x'")
        expectProblem(try await server.ask(.delete, "/api/v1/devices/x"), 404, "not-found", saying: "'x'")
    }

    @Test func `DELETE answers 204 without a body`() async throws {
        let server = await FakeOperations { $0.deviceRecords["d"] = DeviceRecord(id: "d") }
        let reply = try await server.ask(.delete, "/api/v1/devices/d")
        #expect(reply.status == 204)
        #expect(reply.text.isEmpty)
        #expect(reply.headers[.contentType] == nil)
        #expect(await server.deviceRecords.isEmpty)
    }

    @Test(arguments: [
        ("a%2Fb", "a/b"), ("%C3%A6%20%F0%9F%90%9F", "æ 🐟"), ("a+b", "a+b"), ("%25", "%"), ("a%3Fb%23c", "a?b#c"), ("%2E%2E", ".."),
        ("urn:x:1@y,z;w=1", "urn:x:1@y,z;w=1"), ("%22%5C%22", "\"\\\""), ("%7B%7D", "{}"),
    ])
    func `An id may have any character, percent-encoded`(encoded: String, id: String) async throws {
        let server = await FakeOperations()
        let made = try await server.ask(.put, "/api/v1/devices/" + encoded, "{}")
        #expect(made.status == 201)
        #expect(made.document["id"] == .string(id))
        #expect(await server.deviceRecords.keys.map { Array($0.utf8) } == [Array(id.utf8)])
        #expect(try await server.get(try #require(made.headers[.location])).document["id"] == .string(id))
    }

    @Test(arguments: ["%", "%4", "%zz", "%ff", "%00", "a%0Ab", "%7f", String(repeating: "x", count: 513)])
    func `A part of a path that is no name is refused`(part: String) async throws {
        let server = await FakeOperations()
        expectProblem(try await server.ask(.put, "/api/v1/devices/" + part, "{}"), 400, "invalid-request")
        #expect(await server.deviceRecords.isEmpty)
    }

    @Test func `Patches that come at once are all kept`() async throws {
        let server = await FakeOperations { $0.deviceRecords["d"] = DeviceRecord(id: "d") }
        let responder = server.responder
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<50 {
                group.addTask {
                    try await server.ask(.patch, "/api/v1/devices/d", #"{"config": {"n\#(number)": 1}}"#, through: responder).status
                }
            }
            for try await status in group { #expect(status == 200) }
        }
        #expect(await server.deviceRecords["d"]?.config.members?.count == 50)
    }
}
