import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@Suite struct AlertRoutesTests {
    static func alert(
        _ device: String, _ state: AlertState = .firing, at milliseconds: Int64 = 0, labels: [String: String] = [:], value: Document = .null
    ) -> AlertRecord {
        AlertRecord(
            id: "id-" + device, rule: RuleIdentity(group: "cold", alert: "TooWarm"), key: [device],
            activeAt: Instant(milliseconds: milliseconds),
            ordinal: 1, transition: 1, labels: labels.merging(["device": device]) { $1 }, state: state, value: value,
            changedAt: Instant(milliseconds: milliseconds), reason: .condition)
    }

    @Test func `An alert has every member of its item`() async throws {
        var alert = Self.alert("f1", .resolved, at: 1_700_000_000_000, value: 7.5)
        alert.annotations = ["summary": "warm"]
        alert.level = "high"
        alert.firedAt = Instant(milliseconds: 1_700_000_001_000)
        alert.resolvedAt = Instant(milliseconds: 1_700_000_002_000)
        let only = alert
        let reply = try await (await FakeOperations { $0.alertRecords = [only] }).get("/api/v1/alerts")
        #expect(
            reply.document == [
                "items": [
                    [
                        "id": "id-f1", "rule": ["group": "cold", "name": "TooWarm"], "labels": ["device": "f1"],
                        "annotations": ["summary": "warm"], "state": "resolved", "level": "high", "value": 7.5,
                        "activeAt": "2023-11-14T22:13:20.000Z", "firedAt": "2023-11-14T22:13:21.000Z",
                        "resolvedAt": "2023-11-14T22:13:22.000Z", "shadow": false, "silencedBy": [], "acknowledged": .null,
                    ]
                ], "next": .null,
            ])
    }

    @Test(arguments: [
        ("", ["a", "b", "c", "d"]), ("?state=", ["a", "b", "c", "d"]), ("?state=pending", ["b"]),
        ("?state=firing&state=pending", ["a", "b", "d"]),
        ("?state=recovering", []), ("?label=device=a", ["a"]), ("?label=", ["a", "b", "c", "d"]), ("?label=site=x%26y", ["a", "b"]),
        ("?label=site=x%26y&label=device=b", ["b"]), ("?state=firing&label=device=b", []), ("?label=note=a=b", ["d"]),
        ("?label=text=two+words", ["c"]), ("?label=text=two%20words", ["c"]), ("?label=text%3Dtwo%20words", ["c"]), ("?label=absent=", []),
    ])
    func `Alerts are found by any of the states and all of the labels`(query: String, devices: [String]) async throws {
        let server = await FakeOperations { fake in
            fake.alertRecords = [
                Self.alert("a", labels: ["site": "x&y"]), Self.alert("b", .pending, labels: ["site": "x&y"]),
                Self.alert("c", .resolved, labels: ["text": "two words"]), Self.alert("d", labels: ["note": "a=b"]),
                Self.alert("e", .inactive),
            ]
        }
        #expect(try await server.get("/api/v1/alerts" + query).names("id").map { $0.dropFirst(3) } == devices.map { $0[...] })
    }

    @Test(arguments: [
        ("state=fire", "'state' must be one of pending, firing, recovering, resolved, nodata"),
        ("state=inactive", "'state' must be one of"),
        ("label=device", "'label' must be NAME=VALUE"), ("label==x", "'label' must be NAME=VALUE"),
        ("stat=firing", "did you mean 'state'?"),
        ("label=%zz", "percent-encoded"), ("label=%ff=1", "percent-encoded"), ("label=a%2", "percent-encoded"),
    ])
    func `A question that is not understood is refused`(query: String, says: String) async throws {
        expectProblem(try await (await FakeOperations()).get("/api/v1/alerts?" + query), 400, "invalid-request", saying: says)
    }

    @Test func `The newest come first, and a page goes on where the last one ended while new ones come`() async throws {
        let server = await FakeOperations { $0.alertRecords = (1...5).map { Self.alert("f\($0)", at: Int64($0 / 2)) }.shuffled() }
        let first = try await server.get("/api/v1/alerts?limit=2")
        #expect(first.names("id") == ["id-f4", "id-f5"])
        let cursor = try #require(first.document["next"]?.string)
        await server.change { $0.alertRecords += [Self.alert("f9", at: 9)] }
        let second = try await server.get("/api/v1/alerts?limit=2&cursor=\(cursor)")
        #expect(second.names("id") == ["id-f2", "id-f3"])
        let third = try await server.get("/api/v1/alerts?limit=2&cursor=\(try #require(second.document["next"]?.string))")
        #expect(third.names("id") == ["id-f1"])
        #expect(third.document["next"] == .null)
    }
}
