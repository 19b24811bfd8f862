import Foundation
import RuleEngine
import TestSupport
import Testing

extension ServerTests {
    @Suite(.serialized, .usesRabbitMQAndMongoDB) struct Kills {
        static let rules = """
            groups:
              - name: cold
                on: $ROOT/{device}
                rules:
                  - alert: TooWarm
                    expr: temperature > -10.0
                  - alert: WarmForLong
                    expr: temperature > -10.0
                    for: 2s
            """

        @Test(arguments: Backing.available)
        func `kill -9 at 20 random moments of a run that fires 1,000 alerts: every alert is notified, none under two intent ids`(
            _ backing: Backing
        ) async throws {
            try await ServerBench.with(backing, rules: Self.rules) { server in
                var chance = SplitMix(seed: 20_261_124)
                let names = (0..<1000).map { "k\($0)" }
                for round in 0..<20 {
                    let mine = names[round * 50..<round * 50 + 50].map { server.reading($0, #"{"temperature": 5}"#) }
                    let moment = Duration.microseconds(Int.random(in: 0...250_000, using: &chance))
                    async let sending: Void = {
                        for part in 0..<5 {
                            try await server.publisher.send(Array(mine[part * 10..<part * 10 + 10]))
                            try await Task.sleep(for: .milliseconds(30))
                        }
                    }()
                    try await Task.sleep(for: moment)
                    await server.kill()
                    // Every third time once more while it starts.
                    if round % 3 == 2 {
                        try server.launch()
                        try await Task.sleep(for: .microseconds(Int.random(in: 0...400_000, using: &chance)))
                        await server.kill()
                    }
                    try await sending
                    if round % 2 == 0 { try await server.start() } else { try server.launch() }
                }
                try await server.ready()
                for alert in ["TooWarm", "WarmForLong"] {
                    func firing() -> [WebhookReceiver.Alert] { server.webhook.alerts("firing", alert) }
                    _ = await eventually { Set(firing().compactMap { $0.labels["device"] }).count == names.count }
                    let intents = Dictionary(grouping: firing()) { $0.labels["device"] ?? "" }
                    #expect(Set(intents.keys) == Set(names), "\(alert): \(names.count - intents.count) were not notified")
                    #expect(
                        intents.values.allSatisfy { $0.count == 1 }, "\(alert): \(intents.values.count { $0.count > 1 }) under two intents")
                }
                #expect(server.webhook.deliveries.allSatisfy { !$0.id.isEmpty })
            }
        }

        @Test(arguments: Backing.available)
        func `a pending alert fires at its own instant across a kill, and a firing one does not fire again`(_ backing: Backing) async throws
        {
            try await ServerBench.with(backing, rules: Self.rules.replacingOccurrences(of: "for: 2s", with: "for: 6s")) { server in
                // Pending, unless the machine is so slow that it has fired: `activeAt` is the same in both.
                func activeAt() async -> Instant? { await server.alerts("label=alertname=WarmForLong").first?["activeAt"]?.instant }
                let start = ContinuousClock.now
                try await server.send("p1", #"{"temperature": 5}"#)
                _ = try #require(await server.webhook.first("firing", "TooWarm", device: "p1"))
                let pending = try #require(await eventually { await activeAt() })
                await server.kill()
                try await server.start()
                #expect(await activeAt() == pending)
                let fired = try #require(await server.webhook.first("firing", "WarmForLong", device: "p1"))
                #expect(Instant(rfc3339: fired.startsAt) == pending + 6_000_000_000, "\(fired.startsAt), not 6 s after \(pending)")
                #expect(start.duration(to: fired.at) > .milliseconds(5990))
                await server.kill()
                try await server.start()
                try await server.send("p1", #"{"temperature": 6}"#)
                // The reading that resolves comes behind the one that might have fired again.
                try await server.send("p1", #"{"temperature": -20}"#)
                for name in ["TooWarm", "WarmForLong"] {
                    #expect(await server.webhook.first("resolved", name, device: "p1") != nil)
                    #expect(server.webhook.alerts("firing", name).count == 1 && server.webhook.alerts("resolved", name).count == 1)
                }
            }
        }

        @Test(arguments: Backing.available)
        func `after a start with the wall clock behind what is stored, notifications are not late`(_ backing: Backing) async throws {
            try await ServerBench.with(backing, rules: Self.rules) { server in
                try await server.send("w1", #"{"temperature": 5}"#)
                _ = try #require(await server.webhook.first("firing", "TooWarm", device: "w1"))
                _ = try #require(await server.webhook.first("firing", "WarmForLong", device: "w1"))
                #expect(await server.stop() == 0)
                // What was stored comes from an hour ahead: the clock was set back since.
                try await server.changeStore { store in
                    let alerts = try await store.documents(in: .alerts).compactMap { stored -> StateWrite? in
                        guard var alert = AlertRecord(document: stored.document) else { return nil }
                        alert.changedAt = alert.changedAt + 3_600_000_000_000
                        return StateWrite(.alerts, id: stored.id, alert.document)
                    }
                    #expect(alerts.count == 2)
                    try await store.commit(alerts)
                }
                try await server.start()
                try await server.send("w2", #"{"temperature": 5}"#)
                _ = try #require(await server.webhook.first("firing", "TooWarm", device: "w2"))
                _ = try #require(await server.webhook.first("firing", "WarmForLong", device: "w2"))
            }
        }

        @Test(arguments: Backing.available)
        func `SIGTERM with work under way ends it within five seconds with status 0, and nothing is lost`(_ backing: Backing) async throws {
            try await ServerBench.with(backing, rules: Self.rules) { server in
                let names = (0..<400).map { "s\($0)" }
                for part in 0..<4 {
                    let mine = names[part * 100..<part * 100 + 100].map { server.reading($0, #"{"temperature": 5}"#) }
                    async let sending: Void = server.publisher.send(mine)
                    #expect(await eventually { await server.metric("nodesphere_readings_total") > 0 })
                    #expect(await server.stop() == 0)
                    try await sending
                    try await server.start()
                }
                let isAll = await eventually {
                    Set(server.webhook.alerts("firing", "TooWarm").compactMap { $0.labels["device"] }).count == names.count
                }
                #expect(isAll, "\(server.webhook.alerts("firing", "TooWarm").count) of \(names.count)")
                #expect(server.webhook.alerts("firing", "TooWarm").count == names.count)
            }
        }

        @Test
        func `SIGTERM ends it within five seconds while a receiver does not answer, and the notification is delivered after the restart`()
            async throws
        {
            try await ServerBench.with(rules: Self.rules) { server in
                server.webhook.answer(nil)
                try await server.send("h1", #"{"temperature": 5}"#)
                #expect(await eventually { server.webhook.attempts > 0 })
                #expect(await server.stop() == 0)
                server.webhook.answer(200)
                try await server.start()
                #expect(await server.webhook.first("firing", "TooWarm", device: "h1") != nil)
            }
        }
    }
}
