import Foundation
import InfluxWindows
import Logging
import RuleEngine
import ServiceLifecycle
import UnixSignals

/// What goes on beside the inputs, and how it ends.
extension ServerCore {
    func stopRecorder() async {
        guard let recorder else { return }
        await withCheckedContinuation { continuation in
            Thread {
                recorder.stop()
                continuation.resume()
            }.start()
        }
    }

    /// `on_stop`, and a moment for what it wants.
    func stopScripts(_ running: Running, _ automating: Task<Void, Never>) async {
        // Changes of alerts that were decided are told; behind the second flush those of the first one's group are, too. A store that is away is not waited for.
        let telling = Task {
            await running.queue.flushed()
            await running.queue.flushed()
        }
        await finished(telling, within: .seconds(1))
        await withCheckedContinuation { continuation in
            Thread {
                running.scripts.stop()
                continuation.resume()
            }.start()
        }
        // What they did waits for their states to be stored.
        await running.queue.flushed()
        running.scriptEffects.close()
        await finished(automating, within: .seconds(2))
    }

    /// Gives work that ends by itself a moment, then breaks it off.
    func finished(_ work: Task<Void, Never>, within limit: Duration) async {
        let (over, end) = AsyncStream.makeStream(of: Void.self)
        Task {
            await work.value
            end.finish()
        }
        let limit = Task {
            try? await Task.sleep(for: limit)
            work.cancel()
            end.finish()
        }
        for await _ in over {}
        limit.cancel()
    }

    func followWallClock(_ host: EngineHost) async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))
            let jump = host.clock.compareWithWall()
            guard jump > 0 else { continue }
            logger.notice(
                "the wall clock was set forward by \(Duration.nanoseconds(jump)); engine time follows, silence of devices does not count")
            host.apply(.clockJump(nanoseconds: jump))
        }
    }

    func log(_ transition: AlertTransition) {
        let alert = transition.alert
        guard !alert.isOccurrence else {
            logger.info("occurrence", metadata: ["alert": "\(alert.rule)", "labels": "\(Document(alert.labels).json)"])
            return
        }
        logger.info(
            "alert \(transition.from.rawValue) → \(alert.state.rawValue)",
            metadata: [
                "alert": "\(alert.rule)", "labels": "\(Document(alert.labels).json)", "value": "\(alert.value.json)",
                "reason": "\(alert.reason.rawValue)",
            ])
    }

    func followDirectory(_ running: Running) async {
        for await changes in directory.changes() { Self.apply(changes, running) }
    }

    /// Says once that the store is away and once that it is back, whoever noticed it first.
    func watchStore() async {
        var isAway = false
        while !Task.isCancelled {
            let reason = await store.unreadyReason()
            if let reason, !isAway {
                logger.error("the store is away, decisions and changes of devices wait for it: \(reason)")
            } else if reason == nil, isAway {
                logger.notice("the store is back")
            }
            isAway = reason != nil
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// Says what decoders of plugins cannot read, at most every 10 s: how many messages, and the last one's reason.
    func watchDecoders(_ running: Running) async {
        guard !reader.plugins.set.decoders.isEmpty else { return }
        var told: [String: UInt64] = [:]
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(10))
            let counters = running.host.look { $0.counters }
            for (name, refusal) in counters.refusals.sorted(by: { $0.key < $1.key }) {
                let count = counters.undecodable["decoder \(name)"] ?? 0
                guard count > told[name] ?? 0 else { continue }
                logger.warning(
                    "decoder '\(name)' could not read \(count - (told[name] ?? 0)) messages; the last one: \(refusal.reason)",
                    metadata: ["topic": "\(refusal.topic)"])
                told[name] = count
            }
        }
    }

    func forgetResolved(_ running: Running) async {
        let keep = configuration.duration("alerts.keep_resolved").inNanoseconds
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(30))
            let oldest = running.host.clock.now() + -keep
            let ids = running.board.removeResolved(before: oldest)
            if !ids.isEmpty { running.queue.add(CommitWork(writes: ids.map { StateWrite(.alerts, id: $0, nil) })) }
            running.host.withPipeline { pipeline, now in
                pipeline.forgetResolved(before: oldest)
                return ((), pipeline.forgetSilences(at: now))
            }
        }
    }

    func reloadOnHangup(_ running: Running) async {
        for await _ in await UnixSignalsSequence(trapping: .sighup) {
            running.scripts.load(AutomationFiles.read(rulesPath: reader.rulesPath), reason: "reload", position: running.host.position)
            _ = await running.reloader.reload(cause: "SIGHUP")
        }
    }

    func watchFiles(_ running: Running) async {
        guard configuration.bool("rules.watch") else { return }
        var seen = FileStamps(rules: reader.rulesPath, notifications: reader.notificationsPath)
        var seenScripts = AutomationFiles.read(rulesPath: reader.rulesPath)
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))
            let scripts = AutomationFiles.read(rulesPath: reader.rulesPath)
            if !scripts.elementsEqual(seenScripts, by: ==) {
                seenScripts = scripts
                running.scripts.load(scripts, reason: "reload", position: running.host.position)
            }
            let stamps = FileStamps(rules: reader.rulesPath, notifications: reader.notificationsPath)
            guard stamps != seen, !Task.isCancelled else { continue }
            seen = stamps
            _ = await running.reloader.reload(cause: "files changed")
        }
    }
}
