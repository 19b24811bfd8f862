import RuleEngine
import Testing

@Suite struct `Notification pipeline` {
    @Test func `an alert is told when it fires and when it is over, and its group is gone then`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("TooWarm")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(10))
        #expect(bench.heard == [["firing TooWarm f1"]])
        bench.take(alert.become(.resolved, at: seconds(20)), at: seconds(20))
        bench.advance(to: seconds(299))
        #expect(bench.heard.count == 1)
        bench.advance(to: seconds(300))
        #expect(bench.heard == [["firing TooWarm f1"], ["resolved TooWarm f1"]])
        #expect(bench.records.isEmpty && bench.pipeline.groupCount == 0)
        bench.advance(to: seconds(100_000))
        #expect(bench.heard.count == 2)
    }

    @Test func `a group waits group_wait from the first alert's transition, then group_interval from its last notification`() throws {
        var bench = Bench(try hookTree(groupBy: .labels([]), wait: .seconds(30)))
        var alerts = (1...3).map { SampleAlert("A", device: "d\($0)") }
        bench.take(alerts[0].become(.firing, at: seconds(0)), at: seconds(1))
        bench.take(alerts[1].become(.firing, at: seconds(29)), at: seconds(29))
        bench.advance(to: seconds(29.9))
        #expect(bench.heard.isEmpty)
        bench.advance(to: seconds(30))
        #expect(bench.heard == [["firing A d1", "firing A d2"]])
        bench.take(alerts[2].become(.firing, at: seconds(40)), at: seconds(40))
        bench.advance(to: seconds(329.9))
        #expect(bench.heard.count == 1)
        bench.advance(to: seconds(330))
        #expect(bench.heard.last == ["firing A d1", "firing A d2", "firing A d3"])
    }

    @Test func `transitions that were decided together are told together even without group_wait`() throws {
        var bench = Bench(try hookTree(groupBy: .labels([])))
        var alerts = (1...3).map { SampleAlert("A", device: "d\($0)") }
        bench.run(bench.pipeline.take(alerts.indices.map { alerts[$0].become(.firing, at: seconds(0)) }, at: seconds(0)))
        bench.advance(to: seconds(1))
        #expect(bench.heard == [["firing A d1", "firing A d2", "firing A d3"]])
    }

    @Test func `repeat_interval is exact, not rounded to group_interval`() throws {
        var bench = Bench(try hookTree(interval: .seconds(300), repeats: .seconds(1000)))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(999.9))
        #expect(bench.heard.count == 1)
        bench.advance(to: seconds(1000))
        #expect(bench.heard.count == 2)
        bench.advance(to: seconds(3000))
        #expect(bench.heard.count == 4)
        #expect(Set(bench.delivered.map(\.id)).count == 4)
    }

    @Test func `a relapse is no news, a change of level is`() throws {
        var bench = Bench(try hookTree(interval: .seconds(1)))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, level: "warning", at: seconds(0)), at: seconds(0))
        bench.take(alert.become(.recovering, level: "warning", at: seconds(10)), at: seconds(10))
        bench.take(alert.become(.firing, level: "warning", at: seconds(20)), at: seconds(20))
        bench.advance(to: seconds(30))
        #expect(bench.heard == [["firing A f1 warning"]])
        bench.take(alert.become(.firing, level: "critical", at: seconds(40)), at: seconds(40))
        bench.advance(to: seconds(50))
        #expect(bench.heard.last == ["firing A f1 critical"])
        #expect(bench.heard.count == 2)
        let fingerprints = bench.delivered.compactMap { $0.document["alerts"]?.array?.first?["fingerprint"]?.string }
        #expect(fingerprints.count == 2 && Set(fingerprints).count == 1)
    }

    @Test func `the end of an alert that nobody heard of is not told`() throws {
        var bench = Bench(try hookTree(wait: .seconds(30)))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.take(alert.become(.resolved, at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(1000))
        #expect(bench.heard.isEmpty && bench.pipeline.groupCount == 0)
        #expect(bench.pipeline.ledger["hook", .superseded] == 1)
        #expect(bench.pipeline.ledger["hook", .unannounced] == 1)
    }

    @Test func `pending alerts are none of its business`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        bench.take(alert.become(.pending, at: seconds(0)), at: seconds(0))
        bench.take(alert.become(.inactive, at: seconds(1)), at: seconds(1))
        bench.advance(to: seconds(1000))
        #expect(bench.heard.isEmpty && bench.pipeline.ledger.taken.isEmpty)
    }

    @Test func `a transition that was taken changes nothing when it is offered again`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        let fires = alert.become(.firing, at: seconds(0))
        bench.take(fires, at: seconds(0))
        #expect(bench.pipeline.take(fires, at: seconds(1)) == [])
        bench.advance(to: seconds(1))
        let ends = alert.become(.resolved, at: seconds(400))
        bench.take(ends, at: seconds(400))
        bench.advance(to: seconds(500))
        #expect(bench.pipeline.groupCount == 0)
        #expect(bench.pipeline.take([fires, ends], at: seconds(501)) == [])
        bench.restart(try hookTree(), at: seconds(600))
        #expect(bench.pipeline.take([fires, ends], at: seconds(601)) == [])
    }

    @Test func `a channel with send_resolved false hears no end`() throws {
        var bench = Bench(try hookTree(interval: .seconds(1), sendResolved: false))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.take(alert.become(.resolved, at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(100))
        #expect(bench.heard == [["firing A f1"]])
        #expect(bench.pipeline.groupCount == 0 && bench.records.isEmpty)
        #expect(bench.pipeline.ledger["hook", .unwanted] == 1)
    }

    @Test func `an occurrence is sent once, as firing that ends where it starts, and leaves`() throws {
        var bench = Bench(try hookTree(interval: .seconds(10), repeats: .seconds(60)))
        var alert = SampleAlert("Button")
        bench.take(alert.occur(at: seconds(0)), at: seconds(0))
        bench.take(alert.occur(at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1000))
        #expect(bench.heard == [["firing Button f1"], ["firing Button f1"]])
        let sent = try #require(bench.delivered[0].document["alerts"]?.array?.first)
        #expect(sent["endsAt"] == sent["startsAt"])
        #expect(bench.pipeline.groupCount == 0 && bench.records.isEmpty)
        bench.restart(try hookTree(), at: seconds(2000))
        bench.advance(to: seconds(3000))
        #expect(bench.heard.count == 2)
    }

    @Test func `each channel of a receiver has its own delivery`() throws {
        var bench = Bench(try hookTree(channels: 2))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        #expect(bench.queue.values.filter { $0.kind == .delivery(receiver: "hook", severity: nil, status: "firing") }.count == 2)
        var seen = Set<Integration>()
        for message in bench.queue.values {
            if case .attempt(let integration, _) = bench.pipeline.beginDelivery(message, at: seconds(0)).decision {
                seen.insert(integration)
            }
        }
        #expect(
            seen == [Integration(receiver: "hook", kind: "webhook", index: 0), Integration(receiver: "hook", kind: "webhook", index: 1)])
    }

    @Test func `a failed delivery is tried again with the same id until it goes through`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        var tried: [String] = []
        bench.advance(to: seconds(4)) { notification in
            tried.append(notification.id)
            return unreachable(notification)
        }
        #expect(tried.count == 3 && Set(tried).count == 1)
        bench.advance(to: seconds(30))
        #expect(bench.delivered.map(\.id) == [tried[0]])
        #expect(bench.pipeline.ledger["hook", .sent] == 1)
    }

    @Test func `a refused delivery is dead at once, and one that failed for a day too`() throws {
        var bench = Bench(try hookTree(repeats: .seconds(1_000_000)))
        var (first, second) = (SampleAlert("A"), SampleAlert("B"))
        bench.take(first.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1)) { _ in AttemptResult(.rejected(reason: "404")) }
        #expect(bench.pipeline.ledger["hook", .failed] == 1)
        bench.take(second.become(.firing, at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(90_000), answer: unreachable)
        #expect(bench.pipeline.ledger["hook", .failed] == 2)
        #expect(bench.heard.isEmpty)
        bench.take(second.become(.resolved, at: seconds(90_001)), at: seconds(90_001))
        bench.advance(to: seconds(95_000))
        #expect(bench.heard.isEmpty, "the receiver never heard that it fires")
    }

    @Test func `nobody is paged for what is over by the time the receiver is back`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(2), answer: unreachable)
        bench.take(alert.become(.resolved, at: seconds(2.5)), at: seconds(2.5))
        bench.advance(to: seconds(1000))
        #expect(bench.heard.isEmpty && bench.pipeline.groupCount == 0 && bench.records.isEmpty)
    }

    @Test func `an attempt without an answer counts as heard, so the end is told`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(0.5), answer: unanswered)
        bench.take(alert.become(.resolved, at: seconds(0.6)), at: seconds(0.6))
        bench.advance(to: seconds(1000))
        #expect(bench.heard == [["firing A f1"], ["resolved A f1"]])
    }

    @Test func `while an attempt is under way a flush waits, and takes an unanswered one's place afterwards`() throws {
        var bench = Bench(try hookTree(interval: .seconds(5)))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        let message = try #require(bench.queue.values.first { if case .delivery = $0.kind { true } else { false } })
        guard case .attempt = bench.pipeline.beginDelivery(message, at: seconds(0)).decision else { Issue.record("no attempt"); return }
        bench.queue[message.id] = nil
        bench.take(alert.become(.resolved, at: seconds(1)), at: seconds(1))
        bench.advance(to: seconds(8))
        #expect(bench.heard.isEmpty)
        let ended = bench.pipeline.deliveryEnded(message, unanswered(Notification(id: "", receiver: "", document: .null)), at: seconds(9))
        #expect(ended.outcome == .done, "the next notification has taken its place")
        bench.run(ended.effects)
        bench.advance(to: seconds(10))
        #expect(bench.heard == [["resolved A f1"]])
    }

    @Test func `after a crash an end is told where an earlier episode's firing may have been heard`() throws {
        let tree = try hookTree(groupBy: .labels([]), interval: .seconds(60))
        for answer in [unreachable, { _ in AttemptResult(.delivered) }] {
            var bench = Bench(tree)
            var (alert, button) = (SampleAlert("A"), SampleAlert("E", device: "e"))
            bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
            bench.take(alert.become(.resolved, at: seconds(1)), at: seconds(1))
            bench.take(alert.become(.firing, at: seconds(2)), at: seconds(2))
            bench.take(button.occur(at: seconds(3)), at: seconds(3))
            bench.alerts[alert.record.id] = alert.become(.resolved, at: seconds(4)).alert
            bench.restart(tree, at: seconds(5))
            bench.advance(to: seconds(6), answer: answer)
            bench.advance(to: seconds(100))
            #expect(bench.heard.last == ["firing E e", "resolved A f1"])
            #expect(bench.pipeline.groupCount == 0)
        }
    }

    @Test func `a later flush takes over what an undelivered one held`() throws {
        var bench = Bench(try hookTree(groupBy: .labels([]), interval: .seconds(5)))
        var (a, b) = (SampleAlert("A", device: "d1"), SampleAlert("A", device: "d2"))
        bench.take(a.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.take(a.become(.resolved, at: seconds(2)), at: seconds(2))
        bench.advance(to: seconds(5.5), answer: unreachable)
        bench.take(b.become(.firing, at: seconds(6)), at: seconds(6))
        bench.advance(to: seconds(10), answer: unreachable)
        bench.advance(to: seconds(60))
        #expect(bench.heard == [["firing A d1"], ["firing A d2", "resolved A d1"]])
        #expect(Set(bench.delivered.map(\.id)).count == 2)
    }

    @Test func `an alert whose level leads to another receiver is over for the first`() throws {
        let hook = ChannelConfiguration.log(LogConfiguration())
        let tree = try RouteTree(
            NotificationConfiguration(
                route: Route(
                    receiver: "ops", groupWait: .zero, groupInterval: .seconds(1),
                    routes: [Route(matchers: [Matcher("severity", .equal, "critical")], receiver: "pager")]),
                receivers: ["ops", "pager"].map { Receiver(name: $0, channels: [hook]) }), compile: Alternatives.compile)
        var bench = Bench(tree)
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, level: "warning", at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.take(alert.become(.firing, level: "critical", at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(20))
        bench.take(alert.become(.resolved, level: "critical", at: seconds(30)), at: seconds(30))
        bench.advance(to: seconds(40))
        func heard(by receiver: String) -> [[String]] {
            bench.delivered.filter { $0.document["receiver"]?.string == receiver }.map { words($0.document) }
        }
        #expect(heard(by: "ops") == [["firing A f1 warning"], ["resolved A f1 warning"]])
        #expect(heard(by: "pager") == [["firing A f1 critical"], ["resolved A f1 critical"]])
        #expect(bench.pipeline.groupCount == 0)
    }

    @Test func `an alert whose level leads to another group of the same receiver is not over for it`() throws {
        var bench = Bench(try hookTree(groupBy: .labels(["severity"]), interval: .seconds(1)))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, level: "warning", at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.take(alert.become(.firing, level: "critical", at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(20))
        bench.take(alert.become(.resolved, level: "critical", at: seconds(30)), at: seconds(30))
        bench.advance(to: seconds(40))
        #expect(bench.heard == [["firing A f1 warning"], ["firing A f1 critical"], ["resolved A f1 critical"]])
    }

    @Test func `a shadow rule's alerts are counted and not told`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        alert.record.isShadow = true
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.take(alert.become(.resolved, at: seconds(1)), at: seconds(1))
        bench.advance(to: seconds(1000))
        #expect(bench.heard.isEmpty)
        #expect(bench.pipeline.ledger["hook", .shadow] == 2 && bench.pipeline.ledger.taken == ["hook": 2])
    }

    @Test func `new routes keep the groups that they have too, and tell again only what is grouped anew`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.run(bench.pipeline.reconfigure(try hookTree(interval: .seconds(10)), at: seconds(2)))
        bench.advance(to: seconds(100))
        #expect(bench.heard.count == 1)
        bench.run(bench.pipeline.reconfigure(try hookTree(groupBy: .labels(["alertname"]), interval: .seconds(10)), at: seconds(200)))
        bench.advance(to: seconds(300))
        #expect(bench.heard == [["firing A f1"], ["firing A f1"]])
        #expect(bench.pipeline.groupCount == 1 && bench.records.count == 1)
        bench.run(bench.pipeline.reconfigure(try RouteTree(.logOnly, compile: Alternatives.compile), at: seconds(400)))
        bench.advance(to: seconds(500))
        #expect(bench.delivered.last?.document["receiver"] == "log")
        #expect(bench.records.count == 1)
    }

    @Test func `a receiver that is told under new routes hears the end of what fired under the old ones`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.run(bench.pipeline.reconfigure(try hookTree(groupBy: .labels([]), wait: .seconds(30)), at: seconds(2)))
        bench.take(alert.become(.resolved, at: seconds(3)), at: seconds(3))
        bench.advance(to: seconds(100))
        #expect(bench.heard == [["firing A f1"], ["resolved A f1"]])
    }

    @Test func `a large group is told in parts, and none is left out`() throws {
        var bench = Bench(try hookTree(groupBy: .labels([])), settings: PipelineSettings(groupLimit: 10))
        var alerts = (0..<25).map { SampleAlert("A", device: "d\($0)") }
        bench.run(bench.pipeline.take(alerts.indices.map { alerts[$0].become(.firing, at: seconds(0)) }, at: seconds(0)))
        bench.advance(to: seconds(1))
        #expect(bench.heard.map(\.count) == [10, 10, 5] || Set(bench.heard.map(\.count)) == [10, 5])
        #expect(Set(bench.heard.joined()).count == 25)
    }

    @Test func `a receiver without channels is counted, not told`() throws {
        let tree = try RouteTree(
            NotificationConfiguration(route: Route(receiver: "nobody"), receivers: [Receiver(name: "nobody", channels: [])]),
            compile: Alternatives.compile)
        var bench = Bench(tree)
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.take(alert.become(.resolved, at: seconds(1)), at: seconds(1))
        #expect(bench.pipeline.ledger["nobody", .undirected] == 2 && bench.pipeline.groupCount == 0)
    }

    @Test func `forgotten alerts leave no memory behind`() throws {
        var bench = Bench(try hookTree(interval: .seconds(1)))
        var alert = SampleAlert("A")
        let fires = alert.become(.firing, at: seconds(0))
        bench.take(fires, at: seconds(0))
        bench.advance(to: seconds(1))
        bench.pipeline.forgetResolved(before: seconds(100))
        #expect(bench.pipeline.take(fires, at: seconds(2)) == [], "it fires: it is remembered")
        bench.take(alert.become(.resolved, at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(20))
        bench.pipeline.forgetResolved(before: seconds(100))
        #expect(bench.pipeline.take(fires, at: seconds(200)) != [])
    }
}
