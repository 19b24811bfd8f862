import HTTPTypes
import RESTInterface
import RuleEngine
import Testing

@Suite struct HealthRoutesTests {
    @Test func `healthz says that the process lives whatever the store does`() async throws {
        let server = await FakeOperations { $0.failure = .unavailable("gone") }
        #expect(try await server.get("/healthz").status == 200)
        #expect(try await server.get("/healthz?probe=1").status == 200)
    }

    @Test func `readyz is 200 with every part while all are ready`() async throws {
        let server = await FakeOperations { $0.parts = [PartReadiness("mqtt"), PartReadiness("store"), PartReadiness("rules")] }
        let reply = try await server.get("/readyz")
        #expect(reply.status == 200)
        #expect(reply.document == ["ready": true, "parts": ["mqtt": ["ready": true], "store": ["ready": true], "rules": ["ready": true]]])
    }

    @Test func `readyz is 503 and says why while a required part is away`() async throws {
        let server = await FakeOperations {
            $0.parts = [PartReadiness("mqtt", unreadyReason: "connection refused"), PartReadiness("rules")]
        }
        let reply = try await server.get("/readyz")
        #expect(reply.status == 503)
        #expect(
            reply.document == [
                "ready": false, "parts": ["mqtt": ["ready": false, "reason": "connection refused"], "rules": ["ready": true]],
            ])
    }

    @Test func `readyz stays 200 while a part that is not required is away`() async throws {
        let server = await FakeOperations { $0.parts = [PartReadiness("influxdb", unreadyReason: "timeout", isRequired: false)] }
        let reply = try await server.get("/readyz")
        #expect(reply.status == 200)
        #expect(reply.document["ready"] == true)
        #expect(reply.document["parts"]?["influxdb"] == ["ready": false, "reason": "timeout"])
    }

    @Test func `metrics are Prometheus text`() async throws {
        let reply = try await (await FakeOperations()).get("/metrics")
        #expect(reply.status == 200)
        #expect(reply.headers[.contentType] == "text/plain; version=0.0.4; charset=utf-8")
        #expect(reply.text == "nodesphere_readings_total 12\n")
    }
}
