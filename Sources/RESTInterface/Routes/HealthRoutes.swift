import RuleEngine

/// `/healthz`, `/readyz`, `/metrics`: for supervisors and Prometheus.
struct HealthRoutes: Sendable {
    let operations: any ServerOperations

    var routes: [Route] {
        [
            Route("/healthz", .get(query: nil) { _ in .json(["status": "ok"]) }),
            Route("/readyz", .get(query: nil) { _ in Self.answer(await operations.readiness()) }),
            Route(
                "/metrics",
                .get(query: nil) { _ in Answer(status: 200, contentType: PrometheusText.contentType, body: await operations.metrics()) }),
        ]
    }

    static func answer(_ parts: [PartReadiness]) -> Answer {
        let isReady = parts.allSatisfy { $0.unreadyReason == nil || !$0.isRequired }
        let document: Document = [
            "ready": .bool(isReady), "parts": .object(parts.map { Document.Member($0.name, Self.document($0)) }),
        ]
        return .json(document, status: isReady ? 200 : 503)
    }

    private static func document(_ part: PartReadiness) -> Document {
        guard let reason = part.unreadyReason else { return ["ready": true] }
        return ["ready": false, "reason": .string(reason)]
    }
}
