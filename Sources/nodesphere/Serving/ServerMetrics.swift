import Foundation
import InfluxWindows
import LuaScripting
import MQTTTelemetry
import RESTInterface
import RuleEngine

/// `/metrics`: everything the server counts.
enum ServerMetrics {
    typealias Sample = PrometheusText.Sample

    static func text(_ server: ServerCore.Running?) async -> String {
        var text = PrometheusText()
        text.family("nodesphere_build_info", .gauge, "Version of this server.", [Sample([("version", Version.text)], 1)])
        process(&text)
        guard let server else { return text.text }
        let counters = server.host.look { $0.counters }
        let recorded = server.host.recorder?.counts
        let reloader = server.reloader
        let (rejection, success) = await (reloader.rejection, reloader.lastSuccessAt)
        text.family(
            "nodesphere_config_last_reload_successful", .gauge, "Whether the last attempt to load rules was taken.",
            [Sample([], rejection == nil ? 1 : 0)])
        text.family(
            "nodesphere_config_last_reload_success_timestamp_seconds", .gauge, "When rules were last taken.",
            [Sample([], Double(success.nanoseconds) / 1e9)])
        text.family("nodesphere_readings_total", .counter, "Messages received that count as a reading.", [Sample([], counters.readings)])
        text.family(
            "nodesphere_readings_undecodable_total", .counter, "Payloads that could not be decoded, by reason.",
            (DecodeFailure.allCases.map(\.rawValue) + counters.refusals.keys.sorted().map { "decoder \($0)" }).map {
                Sample([("reason", $0)], counters.undecodable[$0] ?? 0)
            })
        let mqtt = server.source.counters
        text.family(
            "nodesphere_messages_duplicate_total", .counter, "Copies of messages that were dropped, by cause.",
            [Sample([("cause", "redelivery")], mqtt.redeliveriesDropped), Sample([("cause", "overlap")], mqtt.copiesDropped)])
        text.family(
            "nodesphere_readings_dropped_total", .counter,
            "Readings dropped by a full queue: the engine's wait instead, scripts lose the oldest.",
            [
                Sample([("queue", "commit"), ("policy", "block")], 0),
                Sample([("queue", "scripts"), ("policy", "drop_oldest")], server.scripts.counts.dropped),
            ] + (recorded.map { [Sample([("queue", "recorder"), ("policy", "drop_newest")], $0.queueDropped)] } ?? []))
        text.family("nodesphere_evaluations_total", .counter, "Rule evaluations.", [Sample([], counters.evaluations)])
        text.family(
            "nodesphere_evaluation_errors_total", .counter, "Evaluations that ended in an error, by rule.",
            samples("rule", counters.evaluationErrors))
        text.family(
            "nodesphere_evaluations_missed_total", .counter, "Instants of rules with 'influx' that passed without a good answer, by rule.",
            samples("rule", counters.missedEvaluations))
        let queries = server.host.asker.counts
        text.family(
            "nodesphere_influxdb_queries_total", .counter, "Queries of the rules by what came of them.",
            [Sample([("outcome", "answered")], queries.answers), Sample([("outcome", "failed")], queries.failures)])
        text.family(
            "nodesphere_instances_refused_total", .counter, "Instances refused by 'limit' or 'instances.max', by rule.",
            samples("rule", counters.refusedInstances))
        text.family(
            "nodesphere_members_refused_total", .counter,
            "Readings of devices that could be no 'members' any more, by rule: an instance has so many already, or 'instances.max' is reached.",
            samples("rule", counters.refusedMembers))
        text.family("nodesphere_instances", .gauge, "Subjects whose last values are remembered.", [Sample([], counters.subjects)])
        text.family(
            "nodesphere_template_failures_total", .counter, "Templates that gave <no value>.",
            [Sample([], counters.templateFailures + server.failedTexts.count)])
        text.family(
            "nodesphere_late_readings_total", .counter, "Readings measured before the newest one of their instance.",
            [Sample([], counters.lateReadings)])
        text.family(
            "nodesphere_late_readings_refused_total", .counter, "Late readings beyond 'allowed_lateness', which were not taken.",
            [Sample([], counters.lateReadingsRefused)])
        text.family(
            "nodesphere_stamps_replaced_total", .counter,
            "Readings that count as measured when received, whatever 'time_field' says, by reason.",
            [Sample([("reason", "ahead")], counters.stampsAhead), Sample([("reason", "unreadable")], counters.stampsUnreadable)])
        text.family(
            "nodesphere_alerts", .gauge, "Alerts by name and state.",
            server.board.counts.map { Sample([("alertname", $0.alertname), ("state", $0.state.rawValue)], $0.count) })
        text.family(
            "nodesphere_alert_transitions_total", .counter, "Alert transitions by the state they lead to.",
            server.board.transitionCounts.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                Sample([("state", $0.key.rawValue)], $0.value)
            })
        text.family(
            "nodesphere_queue_length", .gauge, "What waits, by queue.",
            [
                Sample([("queue", "commit")], server.queue.length), Sample([("queue", "scheduler")], server.outbox.length),
                Sample([("queue", "scripts")], server.scripts.counts.waitingReadings),
            ])
        scripts(&text, server)
        text.family(
            "nodesphere_actions_total", .counter, "Actions of rules by kind and what became of them.",
            server.actions.counts.map { Sample([("kind", $0.key.kind.rawValue), ("outcome", $0.key.result.rawValue)], $0.value) })
        if let recorded { recorder(&text, recorded) }
        if let events = server.events?.counts {
            text.family(
                "nodesphere_events_published_total", .counter, "Transitions handed to the exchange for integrations.",
                [Sample([], events.published)])
            text.family(
                "nodesphere_events_dropped_total", .counter, "Transitions that the exchange for integrations did not get, by cause.",
                [Sample([("cause", "queue")], events.droppedByQueue), Sample([("cause", "broker")], events.droppedByBroker)])
        }
        text.family(
            "nodesphere_notifications_total", .counter, "Alert events by receiver and what became of them.",
            server.host.dispositions.sorted {
                ($0.key.receiver, $0.key.disposition.rawValue) < ($1.key.receiver, $1.key.disposition.rawValue)
            }
            .map { Sample([("receiver", $0.key.receiver), ("disposition", $0.key.disposition.rawValue)], $0.value) })
        let times = server.queue.times
        text.histogram(
            "nodesphere_store_commit_seconds", "Time of a group commit.",
            [
                PrometheusText.Histogram(
                    buckets: Array(zip(CommitQueue.CommitTimes.bounds, times.counts)).map { (upperBound: $0.0, count: $0.1) },
                    sum: times.sum, count: times.count)
            ])
        return text.text
    }

    private static func scripts(_ text: inout PrometheusText, _ server: ServerCore.Running) {
        let statuses = server.scripts.statuses
        text.family(
            "nodesphere_script_runs_total", .counter, "Calls of handlers, and parts of them after waits, by automation.",
            statuses.map { Sample([("automation", $0.name)], $0.runs) })
        text.family(
            "nodesphere_script_waiting", .gauge, "Handlers that wait, by automation.",
            statuses.map { Sample([("automation", $0.name)], $0.waiting) })
        text.family(
            "nodesphere_script_memory_bytes", .gauge, "What an automation's Lua holds.",
            statuses.map { Sample([("automation", $0.name)], $0.memory) })
        text.family("nodesphere_script_faults_total", .counter, "Faults of automations.", [Sample([], server.scripts.counts.faults)])
    }

    private static func recorder(_ text: inout PrometheusText, _ counts: RecorderCounts) {
        text.family(
            "nodesphere_recorder_points_total", .counter, "Points by what became of them.",
            [
                Sample([("outcome", "written")], counts.written), Sample([("outcome", "refused")], counts.refused),
                Sample([("outcome", "spool_full")], counts.spoolOverflow), Sample([("outcome", "spool_damaged")], counts.spoolDamage),
                Sample([("outcome", "no_disk")], counts.diskDropped),
            ])
        text.family(
            "nodesphere_recorder_requests_total", .counter, "Requests to write by what came of them.",
            [Sample([("outcome", "answered")], counts.requestsAnswered), Sample([("outcome", "failed")], counts.requestsFailed)])
        text.family(
            "nodesphere_recorder_readings_left_out_total", .counter, "Readings of recorded topics that gave no point, by reason.",
            counts.readingsLeftOut.map { Sample([("reason", $0.reason)], $0.count) })
        text.family(
            "nodesphere_recorder_fields_left_out_total", .counter, "Fields that a point went without, by reason.",
            counts.fieldsLeftOut.map { Sample([("reason", $0.reason)], $0.count) })
        text.family(
            "nodesphere_recorder_points_waiting", .gauge, "Points that wait to be written, by where they are.",
            [Sample([("place", "memory")], counts.waitingPoints), Sample([("place", "spool")], counts.spoolPoints)])
        text.family(
            "nodesphere_recorder_queue_bytes", .gauge, "Messages that the recorder has not taken up yet.", [Sample([], counts.queueBytes)])
        text.family("nodesphere_recorder_spool_bytes", .gauge, "Size of the spool.", [Sample([], Int(counts.spoolBytes))])
    }

    private static func samples(_ label: String, _ counts: [String: UInt64]) -> [Sample] {
        counts.sorted { $0.key < $1.key }.map { Sample([(label, $0.key)], $0.value) }
    }

    private static func process(_ text: inout PrometheusText) {
        text.family("process_cpu_seconds_total", .counter, "Processor time of this process.", [Sample([], Double(clock()) / 1e6)])
        if let statm = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) {
            let pages = statm.split(separator: " ").compactMap { Double($0) }
            if pages.count > 1 {
                text.family("process_virtual_memory_bytes", .gauge, "Virtual memory.", [Sample([], pages[0] * 4096)])
                text.family("process_resident_memory_bytes", .gauge, "Resident memory.", [Sample([], pages[1] * 4096)])
            }
        }
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))?.count ?? 0
        text.family("process_open_fds", .gauge, "Open file descriptors.", [Sample([], open)])
    }
}
