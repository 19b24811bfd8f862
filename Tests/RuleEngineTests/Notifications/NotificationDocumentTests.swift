import RuleEngine
import Testing

@Suite struct `Notification document` {
    static func bench() throws -> Bench {
        var bench = Bench(
            try hookTree(groupBy: .labels(["alertname"]), interval: .seconds(10)),
            settings: PipelineSettings(externalURL: "https://alerts.example/", source: "test"))
        var warm = SampleAlert("Too \"Warm\"", device: "f1", labels: ["site": "oslo"], at: seconds(0))
        var open = SampleAlert("Too \"Warm\"", device: "f2", labels: ["site": "oslo"], at: seconds(0))
        bench.take(warm.become(.firing, level: "warning", at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.take(open.become(.firing, level: "warning", at: seconds(2)), at: seconds(2))
        bench.take(warm.become(.resolved, level: "warning", at: seconds(3.5)), at: seconds(3.5))
        bench.advance(to: seconds(10))
        return bench
    }

    @Test func `it is Alertmanager's, with what that has no place for under nodesphere`() throws {
        let bench = try Self.bench()
        let document = try #require(bench.delivered.last).document
        let id = bench.delivered[1].id
        let first = alertInstanceID(rule: RuleIdentity(group: "cold", alert: "Too \"Warm\""), key: ["f1"])
        let second = alertInstanceID(rule: RuleIdentity(group: "cold", alert: "Too \"Warm\""), key: ["f2"])
        func print(_ device: String) -> String { labelFingerprint(["alertname": "Too \"Warm\"", "device": device, "site": "oslo"]) }
        let golden = #"""
            {"version":"4","groupKey":"{}:{alertname=\"Too \\\"Warm\\\"\"}","truncatedAlerts":0,"status":"firing","receiver":"hook",
            "groupLabels":{"alertname":"Too \"Warm\""},"commonLabels":{"alertname":"Too \"Warm\"","severity":"warning","site":"oslo"},
            "commonAnnotations":{},"externalURL":"https://alerts.example/","alerts":[
            {"status":"resolved","labels":{"alertname":"Too \"Warm\"","device":"f1","severity":"warning","site":"oslo"},
            "annotations":{"summary":"f1 is warm"},"startsAt":"2023-11-14T22:13:20.000Z","endsAt":"2023-11-14T22:13:23.500Z",
            "generatorURL":"https://alerts.example/api/v1/rules/cold/Too%20%22Warm%22","fingerprint":"\#(print("f1"))"},
            {"status":"firing","labels":{"alertname":"Too \"Warm\"","device":"f2","severity":"warning","site":"oslo"},
            "annotations":{"summary":"f2 is warm"},"startsAt":"2023-11-14T22:13:22.000Z","endsAt":"0001-01-01T00:00:00Z",
            "generatorURL":"https://alerts.example/api/v1/rules/cold/Too%20%22Warm%22","fingerprint":"\#(print("f2"))"}],
            "nodesphere":{"id":"\#(id)","flush":2,"reason":"change","alerts":[
            {"id":"\#(first)","rule":{"group":"cold","name":"Too \"Warm\""},"state":"resolved","level":"warning","value":-9.5,"device":"f1",
            "reason":"condition","activeAt":"2023-11-14T22:13:20.000Z"},
            {"id":"\#(second)","rule":{"group":"cold","name":"Too \"Warm\""},"state":"firing","level":"warning","value":-9.5,"device":"f2",
            "reason":"condition","activeAt":"2023-11-14T22:13:22.000Z"}]}}
            """#
        #expect(document.json == golden.split(separator: "\n").joined())
    }

    @Test func `its message is a CloudEvents event that reads back as the notification`() throws {
        var bench = Bench(try hookTree(), settings: PipelineSettings(source: "test"))
        var alert = SampleAlert("A", labels: ["severity": "critical"])
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        let message = try #require(bench.queue.values.first { !$0.body.isEmpty })
        #expect(message.kind == .delivery(receiver: "hook", severity: "critical", status: "firing"))
        let event = try Document(json: message.body)
        #expect(event["specversion"] == "1.0" && event["type"] == "io.nodesphere.notification" && event["source"] == "test")
        #expect(event["id"]?.string == message.id && event["time"] == "2023-11-14T22:13:20.000Z")
        let envelope = try #require(NotificationEnvelope(json: message.body))
        #expect(envelope.notification.receiver == "hook" && envelope.notification.id == message.id)
        #expect(Array(envelope.json.utf8) == message.body)
    }

    @Test(arguments: [
        "", "{}", "[]",
        #"{"specversion":"1.0","type":"other","id":"a","source":"b","time":"2023-11-14T22:13:20Z","data":{"receiver":"r"}}"#,
    ])
    func `anything else is no notification`(text: String) {
        #expect(NotificationEnvelope(json: Array(text.utf8)) == nil)
    }

    @Test func `a group's record comes back from its stored form, in every state`() throws {
        var bench = Bench(try hookTree(groupBy: .labels([]), interval: .seconds(1)))
        var (warm, button) = (SampleAlert("A", labels: ["a": "\u{0}\"é"]), SampleAlert("E", device: "e"))
        var seen = 0
        func check() {
            for (id, record) in bench.records {
                seen += 1
                #expect(NotificationGroupRecord(id: id, document: record.document) == record)
                #expect((try? Document(json: record.document.json)).flatMap { NotificationGroupRecord(id: id, document: $0) } == record)
            }
        }
        bench.take(warm.become(.firing, level: "x", at: seconds(0)), at: seconds(0))
        check()
        bench.take(button.occur(at: seconds(0.5)), at: seconds(0.5))
        check()
        bench.advance(to: seconds(1.5), answer: unanswered)
        bench.take(warm.become(.resolved, level: "x", at: seconds(2)), at: seconds(2))
        bench.take(warm.become(.firing, level: "y", at: seconds(2.5)), at: seconds(2.5))
        bench.take(button.occur(at: seconds(3)), at: seconds(3))
        check()
        bench.advance(to: seconds(30))
        check()
        #expect(seen >= 4)
        #expect(NotificationGroupRecord(id: "x", document: ["version": 2]) == nil)
    }

    @Test func `an enormous annotation is cut, and what does not fit a document is counted`() throws {
        var bench = Bench(try hookTree(groupBy: .labels([])))
        let text = String(repeating: "é", count: 40_000)
        var alerts = (0..<60).map { SampleAlert("A", device: "d\($0)") }
        for index in alerts.indices { alerts[index].record.annotations = ["summary": text] }
        bench.run(bench.pipeline.take(alerts.indices.map { alerts[$0].become(.firing, at: seconds(0)) }, at: seconds(0)))
        bench.advance(to: seconds(1))
        let document = try #require(bench.delivered.first).document
        let shown = document["alerts"]?.array?.count ?? 0
        #expect(shown > 0 && shown < 60 && document["truncatedAlerts"] == .int(Int64(60 - shown)))
        #expect(document["nodesphere"]?["alerts"]?.array?.count == shown)
        #expect(document.json.utf8.count < 1_200_000)
    }

    @Test func `of two copies of a delivery the one further on is kept`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        let copy = try #require(bench.queue.values.first { !$0.body.isEmpty })
        bench.advance(to: seconds(2), answer: unreachable)
        #expect(bench.pipeline.mayDeliver(copy, at: seconds(3)).decision == .done)
        var further = copy
        further.attempt = 7
        #expect(bench.pipeline.mayDeliver(further, at: seconds(3)).decision == .deliver)
        guard case .attempt = bench.pipeline.beginDelivery(further, at: seconds(3)).decision else { Issue.record("no attempt"); return }
        #expect(bench.pipeline.beginDelivery(further, at: seconds(3)).decision == .later(.seconds(1)))
    }
}
