import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@Suite struct SilenceRoutesTests {
    private static let now = "2023-11-14T22:13:20.000Z"
    private static let body = """
        {"matchers": [{"name": "device", "value": "f1", "isRegex": false, "isEqual": true}, "severity!=critical"],
         "duration": "2h", "createdBy": "ann", "comment": "new door"}
        """

    @Test func `A silence is made, read, changed and ended`() async throws {
        let server = await FakeOperations { $0.alertRecords = [AlertRoutesTests.alert("f1"), AlertRoutesTests.alert("f2")] }
        let made = try await server.ask(.post, "/api/v1/silences", Self.body)
        #expect(made.status == 201 && made.headers[.location] == "/api/v1/silences/silence-1")
        let matchers: Document = [
            ["name": "device", "value": "f1", "isRegex": false, "isEqual": true],
            ["name": "severity", "value": "critical", "isRegex": false, "isEqual": false],
        ]
        #expect(
            made.document == [
                "id": "silence-1", "matchers": matchers, "startsAt": .string(Self.now), "endsAt": "2023-11-15T00:13:20.000Z",
                "createdBy": "ann", "comment": "new door", "updatedAt": .string(Self.now), "state": "active", "hides": 1,
            ])
        #expect(try await server.get("/api/v1/silences/silence-1").document == made.document)
        #expect(try await server.get("/api/v1/silences?state=active").names("id") == ["silence-1"])
        #expect(try await server.get("/api/v1/silences?state=pending&state=expired").names("id") == [])
        let alerts = try await server.get("/api/v1/alerts").document["items"]?.array ?? []
        #expect(alerts.map { $0["silencedBy"]?.array?.count } == [1, 0])
        // What was read can be sent back, changed.
        let later = made.text.replacing("2023-11-14T22:13:20.000Z", with: "2023-11-14T23:00:00Z")
        let changed = try await server.ask(.put, "/api/v1/silences/silence-1", later)
        #expect(changed.status == 200 && changed.document["state"] == "pending" && changed.document["hides"] == 0)
        #expect(try await server.ask(.delete, "/api/v1/silences/silence-1").status == 204)
        #expect(try await server.get("/api/v1/silences/silence-1").document["state"] == "expired")
        #expect(try await server.ask(.delete, "/api/v1/silences/silence-1").status == 204)
    }

    @Test(arguments: [
        (#"{"duration": "1h"}"#, "'matchers' must be a list"),
        (#"{"matchers": [], "duration": "1h"}"#, "at least one matcher"),
        (#"{"matchers": ["a"], "duration": "1h"}"#, "a matcher needs one of"),
        (#"{"matchers": [{"name": "a b", "value": "x"}], "duration": "1h"}"#, "a 'name' that is a label's"),
        (#"{"matchers": [{"name": "a", "value": "x", "isRegexp": true}], "duration": "1h"}"#, "did you mean 'isRegex'?"),
        (#"{"matchers": [{"name": "a", "value": "x", "isRegex": 1}], "duration": "1h"}"#, "'isRegex' must be true or false"),
        (#"{"matchers": ["a=~\"(\""], "duration": "1h"}"#, "'(' must be a regular expression"),
        (#"{"matchers": ["a!=x"], "duration": "1h"}"#, "would hide every alert"),
        (#"{"matchers": ["a=x"]}"#, "'endsAt' or 'duration' is missing"),
        (#"{"matchers": ["a=x"], "duration": "soon"}"#, "'duration' must be a duration"),
        (#"{"matchers": ["a=x"], "duration": "1h", "endsAt": "2030-01-01T00:00:00Z"}"#, "give one of them"),
        (#"{"matchers": ["a=x"], "endsAt": "tomorrow"}"#, "an instant of RFC 3339"),
        (#"{"matchers": ["a=x"], "endsAt": "2020-01-01T00:00:00Z"}"#, "must end after it starts"),
        (#"{"matchers": ["a=x"], "startsAt": "2019-01-01T00:00:00Z", "endsAt": "2020-01-01T00:00:00Z"}"#, "must end in the future"),
        (#"{"matchers": ["a=x"], "duration": "1h", "comment": 5}"#, "'comment' must be a string"),
    ])
    func `A silence with a mistake is refused`(body: String, says: String) async throws {
        let server = await FakeOperations()
        expectProblem(try await server.ask(.post, "/api/v1/silences", body), 400, "invalid-request", saying: says)
        #expect(try await server.get("/api/v1/silences").names("id") == [])
    }

    @Test func `A silence that is not there cannot be read, changed or ended`() async throws {
        let server = await FakeOperations()
        expectProblem(try await server.get("/api/v1/silences/x"), 404, "not-found", saying: "there is no silence 'x'")
        expectProblem(try await server.ask(.put, "/api/v1/silences/x", Self.body), 404, "not-found")
        expectProblem(try await server.ask(.delete, "/api/v1/silences/x"), 404, "not-found")
        expectProblem(try await server.get("/api/v1/silences?state=on"), 400, "invalid-request", saying: "pending, active, expired")
    }

    @Test func `An alert is acknowledged, and that is taken back`() async throws {
        let server = await FakeOperations {
            $0.alertRecords = [
                AlertRoutesTests.alert("f1"), AlertRoutesTests.alert("f2", .pending), AlertRoutesTests.alert("f3", .resolved),
            ]
        }
        let path = "/api/v1/alerts/id-f1/acknowledgement"
        expectProblem(try await server.get(path), 404, "not-found", saying: "is not acknowledged")
        let taken = try await server.ask(.put, path, #"{"by": "ann", "comment": "on my way", "duration": "30m"}"#)
        let item: Document = [
            "by": "ann", "comment": "on my way", "at": .string(Self.now), "until": "2023-11-14T22:43:20.000Z",
        ]
        #expect(taken.status == 200 && taken.document == item)
        #expect(try await server.get(path).document == item)
        let alerts = try await server.get("/api/v1/alerts?label=device=f1").document["items"]?.array ?? []
        #expect(alerts.first?["acknowledged"] == item)
        #expect(try await server.ask(.put, path, "{}").document["until"] == .null)
        #expect(try await server.ask(.delete, path).status == 204)
        expectProblem(try await server.ask(.delete, path), 404, "not-found")
        for device in ["f2", "f3"] {
            let reply = try await server.ask(.put, "/api/v1/alerts/id-\(device)/acknowledgement", "{}")
            expectProblem(reply, 409, "conflict", saying: "only an alert that fires")
        }
        expectProblem(try await server.ask(.put, "/api/v1/alerts/none/acknowledgement", "{}"), 404, "not-found")
        let past = #"{"until": "2020-01-01T00:00:00Z"}"#
        expectProblem(try await server.ask(.put, path, past), 400, "invalid-request", saying: "must end in the future")
    }
}
