import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@Suite struct ReloadRouteTests {
    @Test func `A reload says which groups changed`() async throws {
        let server = await FakeOperations { $0.reloadOutcome = .reloaded(changed: ["cold", "house"]) }
        let reply = try await server.ask(.post, "/api/v1/reload")
        #expect(reply.status == 200)
        #expect(reply.document == ["changed": ["cold", "house"]])
        #expect(await server.reloads == 1)
    }

    @Test func `A reload of files with errors is 422 with diagnostics`() async throws {
        let mistake = Diagnostic(
            code: "unknown-field", "unknown field 'temperatur'", at: .init(file: "rules/rules.yaml", line: 13, column: 15, length: 10),
            hint: "did you mean 'temperature'?")
        let server = await FakeOperations { $0.reloadOutcome = .invalid([mistake, mistake]) }
        let reply = try await server.ask(.post, "/api/v1/reload")
        expectProblem(reply, 422, "invalid-rules", saying: "1 error")
        #expect(
            reply.document["diagnostics"] == [
                [
                    "file": "rules/rules.yaml", "line": 13, "column": 15, "severity": "error", "code": "unknown-field",
                    "message": "unknown field 'temperatur'", "hint": "did you mean 'temperature'?",
                ]
            ])
    }

    @Test func `A reload by GET is refused and nothing is read`() async throws {
        let server = await FakeOperations()
        #expect(try await server.get("/api/v1/reload").status == 405)
        #expect(await server.reloads == 0)
    }
}
