import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@Suite struct RuleRoutesTests {
    static let rule = RuleStatus(
        group: "cold/room", name: "Too Warm", file: "rules/cold.yaml", line: 7, isEnabled: true, mode: "live", health: .error,
        lastError: "no such key", lastEvaluationAt: Instant(milliseconds: 1_700_000_000_123), evaluations: 42,
        instances: [.firing: 2, .pending: 1], source: "alert: Too Warm\n")

    @Test func `A rule has every member of its item`() async throws {
        let server = await FakeOperations { $0.ruleStatuses = [Self.rule] }
        let reply = try await server.get("/api/v1/rules/cold%2Froom/Too%20Warm")
        #expect(reply.status == 200)
        #expect(reply.headers[.contentType] == "application/json")
        #expect(
            reply.document == [
                "group": "cold/room", "name": "Too Warm", "file": "rules/cold.yaml", "line": 7, "enabled": true, "mode": "live",
                "health": "error", "lastError": "no such key", "lastEvaluationAt": "2023-11-14T22:13:20.123Z", "evaluations": 42,
                "instances": ["pending": 1, "firing": 2], "source": "alert: Too Warm\n",
            ])
        #expect(try await server.get("/api/v1/rules").document == ["items": [reply.document], "next": .null])
    }

    @Test func `What a rule does not have is null`() async throws {
        let bare = RuleStatus(group: "g", name: "A", file: nil, line: 1, isEnabled: false, mode: "shadow", health: .unknown, source: "")
        let document = try await (await FakeOperations { $0.ruleStatuses = [bare] }).get("/api/v1/rules/g/A").document
        for member in ["file", "lastError", "lastEvaluationAt"] { #expect(document[member] == .null) }
        #expect(document["enabled"] == false)
        #expect(document["health"] == "unknown")
        #expect(document["instances"] == .emptyObject)
    }

    @Test func `Rules are listed by group and name`() async throws {
        let server = await FakeOperations { fake in
            fake.ruleStatuses = [("b", "A"), ("a", "Z"), ("a", "B")].map { group, name in
                RuleStatus(group: group, name: name, file: nil, line: 1, isEnabled: true, mode: "live", health: .ok, source: "")
            }
        }
        #expect(try await server.get("/api/v1/rules").names() == ["B", "Z", "A"])
    }

    @Test func `A rule that is not there is a problem`() async throws {
        expectProblem(try await (await FakeOperations()).get("/api/v1/rules/g/A"), 404, "not-found", saying: "'A'")
    }
}
