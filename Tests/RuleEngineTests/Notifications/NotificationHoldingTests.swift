import RuleEngine
import Testing

@Suite struct `Silences and acknowledgements` {
    private func silence(
        _ matchers: Matcher..., from start: Instant = seconds(0), to end: Instant = seconds(1000), id: String = "s"
    ) -> Silence {
        Silence(id: id, matchers: matchers, startsAt: start, endsAt: end, createdBy: "ann", comment: "works", updatedAt: seconds(0))
    }
    private let onF1 = Matcher("device", .equal, "f1")

    // MARK: Silences

    @Test func `what a silence hides is not told, and what still fires when it is over is told then`() throws {
        var bench = Bench(try hookTree())
        #expect(bench.silence(silence(onF1), at: seconds(0)) == nil)
        var alert = SampleAlert("A"), other = SampleAlert("A", device: "f2")
        bench.take(alert.become(.firing, at: seconds(10)), at: seconds(10))
        bench.take(other.become(.firing, at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(999.9))
        #expect(bench.heard == [["firing A f2"]])
        #expect(bench.pipeline.ledger["hook", .silenced] == 1)
        bench.advance(to: seconds(1000))
        #expect(bench.heard == [["firing A f2"], ["firing A f1"]])
        #expect(bench.delivered.last?.document["nodesphere"]?["reason"] == "first")
        #expect(bench.pipeline.openEvents.isEmpty && bench.pipeline.ledger.taken == ["hook": 3])
    }

    @Test func `an alert that begins and ends under a silence is not told`() throws {
        var bench = Bench(try hookTree())
        bench.silence(silence(onF1), at: seconds(0))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(20))
        bench.take(alert.become(.resolved, at: seconds(30)), at: seconds(30))
        bench.advance(to: seconds(5000))
        #expect(bench.heard.isEmpty && bench.pipeline.groupCount == 0 && bench.records.isEmpty)
        #expect(bench.pipeline.ledger["hook", .silenced] == 1 && bench.pipeline.ledger["hook", .unannounced] == 1)
    }

    @Test func `the end of an alert that was heard before the silence is told under it`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.silence(silence(onF1, from: seconds(2)), at: seconds(2))
        bench.take(alert.become(.resolved, at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(400))
        #expect(bench.heard == [["firing A f1"], ["resolved A f1"]])
    }

    @Test func `others of the group are told without it`() throws {
        var bench = Bench(try hookTree(groupBy: .labels([]), interval: .seconds(10)))
        bench.silence(silence(onF1), at: seconds(0))
        var hidden = SampleAlert("A"), heard = SampleAlert("A", device: "f2")
        bench.take(hidden.become(.firing, at: seconds(0)), at: seconds(0))
        bench.take(heard.become(.firing, at: seconds(20)), at: seconds(20))
        bench.advance(to: seconds(500))
        #expect(bench.heard == [["firing A f2"]])
        bench.advance(to: seconds(1001))
        #expect(bench.heard.last == ["firing A f1", "firing A f2"])
        #expect(bench.heard.count == 2)
    }

    @Test func `reminders stop under a silence and go on behind it`() throws {
        var bench = Bench(try hookTree(repeats: .seconds(100)))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(150))
        #expect(bench.heard.count == 2)
        bench.silence(silence(onF1, from: seconds(150), to: seconds(450)), at: seconds(150))
        bench.advance(to: seconds(449))
        #expect(bench.heard.count == 2)
        bench.advance(to: seconds(450))
        #expect(bench.heard.count == 3)
        #expect(bench.delivered.last?.document["nodesphere"]?["reason"] == "repeat")
        #expect(bench.pipeline.ledger["hook", .silenced] == 0, "a reminder is no event")
    }

    @Test func `a silence of the future hides nothing yet, one that is ended early tells at once`() throws {
        var bench = Bench(try hookTree())
        bench.silence(silence(onF1, from: seconds(100)), at: seconds(0))
        var first = SampleAlert("A"), second = SampleAlert("B")
        bench.take(first.become(.firing, at: seconds(50)), at: seconds(50))
        bench.advance(to: seconds(60))
        #expect(bench.heard == [["firing A f1"]])
        bench.take(second.become(.firing, at: seconds(150)), at: seconds(150))
        bench.advance(to: seconds(160))
        #expect(bench.heard.count == 1)
        bench.run(bench.pipeline.expireSilence("s", at: seconds(200)).effects)
        bench.advance(to: seconds(200))
        #expect(bench.heard.last == ["firing B f1"])
        #expect(bench.pipeline.silences["s"]?.state(at: seconds(200)) == .expired)
    }

    @Test func `a notification that is not delivered yet is given up when a silence hides all of it`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(0), answer: unreachable)
        bench.silence(silence(onF1, to: seconds(100)), at: seconds(0.5))
        bench.advance(to: seconds(99))
        #expect(
            bench.heard.isEmpty && bench.queue.values.allSatisfy { $0.kind != .delivery(receiver: "hook", severity: nil, status: "firing") }
        )
        bench.advance(to: seconds(400))
        #expect(bench.heard == [["firing A f1"]])
    }

    @Test func `an occurrence under a silence is never told`() throws {
        var bench = Bench(try hookTree())
        bench.silence(silence(onF1, to: seconds(100)), at: seconds(0))
        var door = SampleAlert("Opened")
        bench.take(door.occur(at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(99))
        bench.take(door.occur(at: seconds(500)), at: seconds(500))
        bench.advance(to: seconds(900))
        #expect(bench.heard.count == 1 && bench.pipeline.groupCount == 0)
        #expect(bench.pipeline.ledger["hook", .silenced] == 1 && bench.pipeline.ledger["hook", .sent] == 1)
    }

    @Test func `of silences that overlap the last end counts`() throws {
        var bench = Bench(try hookTree())
        bench.silence(silence(onF1, to: seconds(100)), at: seconds(0))
        bench.silence(silence(Matcher("alertname", .matches, "A|B"), from: seconds(50), to: seconds(200), id: "t"), at: seconds(0))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(199))
        #expect(bench.heard.isEmpty)
        bench.advance(to: seconds(200))
        #expect(bench.heard.count == 1)
        #expect(bench.pipeline.ledger["hook", .silenced] == 1)
    }

    @Test func `silences and acknowledgements outlive a restart`() throws {
        let tree = try hookTree(repeats: .seconds(100))
        var bench = Bench(tree)
        bench.silence(silence(onF1, to: seconds(500)), at: seconds(0))
        var hidden = SampleAlert("A"), taken = SampleAlert("A", device: "f2")
        bench.take(hidden.become(.firing, at: seconds(1)), at: seconds(1))
        bench.take(taken.become(.firing, at: seconds(1)), at: seconds(1))
        bench.advance(to: seconds(2))
        bench.acknowledge(taken, until: seconds(700), at: seconds(3))
        bench.restart(tree, at: seconds(50))
        bench.advance(to: seconds(499))
        #expect(bench.heard == [["firing A f2"]])
        bench.advance(to: seconds(500))
        #expect(bench.heard.last == ["firing A f1"])
        bench.advance(to: seconds(701))
        #expect(bench.heard.filter { $0 == ["firing A f2"] }.count == 2)
    }

    @Test func `a silence with a mistake is not taken`() throws {
        var bench = Bench(try hookTree())
        let any = Matcher("device", .notEqual, "x")
        #expect(bench.silence(silence(), at: seconds(0)) == .noMatcher)
        #expect(bench.silence(silence(any), at: seconds(0)) == .hidesEverything)
        #expect(bench.silence(silence(any, onF1), at: seconds(0)) == nil)
        #expect(bench.silence(silence(Matcher("device", .matches, "(")), at: seconds(0)) == .pattern("("))
        #expect(bench.silence(silence(onF1, from: seconds(5), to: seconds(5)), at: seconds(0)) == .endsBeforeItStarts)
        #expect(bench.silence(silence(onF1, to: seconds(5)), at: seconds(5)) == .isOver)
        let long = Silence(
            id: "l", matchers: [onF1], startsAt: seconds(0), endsAt: seconds(9), comment: String(repeating: "x", count: 5000),
            updatedAt: seconds(0))
        #expect(bench.silence(long, at: seconds(0)) == .textTooLong("comment"))
        #expect(bench.pipeline.silences.all.map(\.id) == ["s"])
    }

    @Test func `silences are forgotten five days after their end`() throws {
        var bench = Bench(try hookTree())
        bench.silence(silence(onF1), at: seconds(0))
        bench.run(bench.pipeline.forgetSilences(at: seconds(1000 + 5 * 86_400)))
        #expect(bench.silences.count == 1)
        bench.run(bench.pipeline.forgetSilences(at: seconds(1001 + 5 * 86_400)))
        #expect(bench.silences.isEmpty && bench.pipeline.silences.isEmpty)
    }

    // MARK: Acknowledgements

    @Test func `an acknowledged alert is not told again until its end`() throws {
        var bench = Bench(try hookTree(repeats: .seconds(100)))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.acknowledge(alert, at: seconds(10))
        bench.advance(to: seconds(5000))
        #expect(bench.heard.count == 1)
        bench.take(alert.become(.resolved, at: seconds(5000)), at: seconds(5000))
        bench.advance(to: seconds(5001))
        #expect(bench.heard.last == ["resolved A f1"])
        #expect(bench.acknowledgements.isEmpty && bench.pipeline.acknowledgements.isEmpty)
        // The next episode is another matter.
        bench.take(alert.become(.firing, at: seconds(6000)), at: seconds(6000))
        bench.advance(to: seconds(6150))
        #expect(bench.heard.count == 4)
    }

    @Test func `reminders go on when the time of an acknowledgement is over, or it is taken back`() throws {
        for isTakenBack in [false, true] {
            var bench = Bench(try hookTree(repeats: .seconds(100)))
            var alert = SampleAlert("A")
            bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
            bench.advance(to: seconds(1))
            bench.acknowledge(alert, until: isTakenBack ? nil : seconds(450), at: seconds(10))
            bench.advance(to: seconds(449))
            #expect(bench.heard.count == 1)
            if isTakenBack { bench.run(bench.pipeline.unacknowledge(alert: alert.record.id, at: seconds(450)).effects) }
            bench.advance(to: seconds(450))
            #expect(bench.heard.count == 2)
            bench.advance(to: seconds(551))
            #expect(bench.heard.count == 3)
        }
    }

    @Test func `a worse level is told in spite of it, a milder one is not`() throws {
        var bench = Bench(try hookTree(interval: .seconds(1), repeats: .seconds(100)))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, level: "warning", at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.acknowledge(alert, at: seconds(10))
        bench.take(alert.become(.firing, level: "critical", at: seconds(20)), at: seconds(20))
        bench.advance(to: seconds(21))
        #expect(bench.heard.last == ["firing A f1 critical"])
        bench.advance(to: seconds(121))
        #expect(bench.heard.count == 3, "what is worse is reminded of")
        bench.acknowledge(alert, at: seconds(130))
        bench.take(alert.become(.firing, level: "warning", at: seconds(140)), at: seconds(140))
        bench.advance(to: seconds(1000))
        #expect(bench.heard.count == 3)
        #expect(bench.pipeline.ledger["hook", .acknowledged] == 1)
        bench.take(alert.become(.resolved, level: "warning", at: seconds(1000)), at: seconds(1000))
        bench.advance(to: seconds(1001))
        #expect(bench.heard.last == ["resolved A f1 warning"])
    }

    @Test func `an acknowledged alert is in the notifications that others of its group cause, and marked`() throws {
        var bench = Bench(try hookTree(groupBy: .labels([]), interval: .seconds(1)))
        var mine = SampleAlert("A"), other = SampleAlert("A", device: "f2")
        bench.take(mine.become(.firing, at: seconds(0)), at: seconds(0))
        bench.advance(to: seconds(1))
        bench.acknowledge(mine, at: seconds(2))
        bench.take(other.become(.firing, at: seconds(10)), at: seconds(10))
        bench.advance(to: seconds(11))
        #expect(bench.heard.last == ["firing A f1", "firing A f2"])
        let marks = bench.delivered.last?.document["nodesphere"]?["alerts"]?.array?.map { $0["acknowledged"]?["by"]?.string }
        #expect(marks == ["ann", nil])
    }

    @Test func `an alert that is acknowledged before its first notification is not told`() throws {
        var bench = Bench(try hookTree(wait: .seconds(30)))
        var alert = SampleAlert("A")
        bench.take(alert.become(.firing, at: seconds(0)), at: seconds(0))
        bench.acknowledge(alert, at: seconds(10))
        bench.advance(to: seconds(100))
        bench.take(alert.become(.resolved, at: seconds(100)), at: seconds(100))
        bench.advance(to: seconds(1000))
        #expect(bench.heard.isEmpty && bench.pipeline.groupCount == 0)
        #expect(bench.pipeline.ledger["hook", .acknowledged] == 1 && bench.pipeline.ledger["hook", .unannounced] == 1)
    }

    @Test func `only what fires can be acknowledged`() throws {
        var bench = Bench(try hookTree())
        var alert = SampleAlert("A")
        #expect(bench.acknowledge(alert, at: seconds(0)) == .notFiring)
        bench.take(alert.become(.pending, at: seconds(0)), at: seconds(0))
        #expect(bench.acknowledge(alert, at: seconds(0)) == .notFiring)
        bench.take(alert.become(.firing, at: seconds(1)), at: seconds(1))
        #expect(bench.acknowledge(alert, until: seconds(1), at: seconds(1)) == .isOver)
        #expect(bench.acknowledge(alert, at: seconds(2)) == nil)
        var quiet = SampleAlert("Q")
        quiet.record.isShadow = true
        bench.take(quiet.become(.firing, at: seconds(1)), at: seconds(1))
        #expect(bench.acknowledge(quiet, at: seconds(2)) == .shadow)
    }
}

extension Bench {
    @discardableResult
    fileprivate mutating func silence(_ silence: Silence, at now: Instant) -> SilenceMistake? {
        let (mistake, effects) = pipeline.silence(silence, at: now)
        run(effects)
        return mistake
    }

    @discardableResult
    fileprivate mutating func acknowledge(_ alert: SampleAlert, until: Instant? = nil, at now: Instant) -> AcknowledgementMistake? {
        let (result, effects) = pipeline.acknowledge(alert: alert.record.id, by: "ann", until: until, at: now)
        run(effects)
        guard case .failure(let mistake) = result else { return nil }
        return mistake
    }
}
