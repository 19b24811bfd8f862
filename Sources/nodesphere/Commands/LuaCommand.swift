import ArgumentParser
import Foundation
import LuaScripting
import RuleEngine

struct LuaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lua", abstract: "Try automations.", subcommands: [LuaRunCommand.self, LuaREPLCommand.self])
}

struct LuaRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run one automation in virtual time and show what it does, in order.",
        discussion: "The readings come one a second, from the start on. Exit status 1 when the script failed.")

    @Argument(help: "The script.") var file: String
    @Option(help: "A topic and a payload, with a space between them. May be given again.") var reading: [String] = []
    @Option(name: .customLong("for"), help: "How long it goes on after the last reading.") var duration = "0"
    @Option(help: "Where virtual time begins (RFC 3339).") var start = "1970-01-01T00:00:00Z"
    @Flag(help: "One JSON object a line.") var json = false
    @Option(help: "The configuration file.") var config: String?

    func run() throws {
        guard let after = Duration(ruleText: duration) else { throw wrong("'--for' must be a duration, such as 5m") }
        guard let begin = Instant(rfc3339: start) else { throw wrong("'--start' must be an instant such as 2026-03-01T12:00:00Z") }
        let readings = try reading.map(SampleReading.option)
        let text = try scriptText(file)
        let settings = try ConfigurationOptions.load(config, flags: []).automationSettings
        var hasFailed = false
        let rehearsal = Rehearsal(settings: settings) { effect in
            if case .fault = effect.kind { hasFailed = true }
            show(effect, text)
        }
        rehearsal.load(file: file, text: text, at: begin)
        var now = begin
        for (number, reading) in readings.enumerated() {
            now = begin + Int64(number) * 1_000_000_000
            rehearsal.advance(to: now)
            reading.give(to: rehearsal, at: now)
        }
        rehearsal.end(at: now + after.inNanoseconds)
        if hasFailed { throw Ending(1) }
    }

    private func wrong(_ message: String) -> Ending {
        Output.talk("error: \(message)")
        return Ending(2)
    }

    private func show(_ effect: ScriptEffect, _ source: String) {
        guard let (name, content) = effect.kind.shown else { return }
        if json {
            Output.result(Document.object([.init("at", .instant(effect.at)), .init(name, content)]).json)
        } else if case .fault(let fault) = effect.kind {
            let failure = LuaFailure(file: fault.file, line: fault.line, message: fault.message, traceback: fault.traceback)
            Output.result("\(effect.at) error")
            Output.result(failure.text(source: source))
        } else {
            Output.result("\(effect.at) \(name) \(content.json)")
        }
    }
}

extension ScriptEffect.Kind {
    /// The member of a line of `lua run`, and what it holds; nil for what is not shown.
    var shown: (name: String, content: Document)? {
        switch self {
        case .publish(let topic, let payload, let qos, let retain):
            var members: [Document.Member] = [
                .init("topic", .string(topic)), .init("payload", .string(String(decoding: payload, as: UTF8.self))),
            ]
            if qos > 0 { members.append(.init("qos", .int(Int64(qos)))) }
            if retain { members.append(.init("retain", true)) }
            return ("publish", .object(members))
        case .notify(let receiver, let content):
            return ("notify", .object([.init("receiver", .string(receiver))] + (content.members ?? [])))
        case .log(let level, let message): return ("log", ["level": .string(level), "message": .string(message)])
        case .request(_, let request): return request.shown
        case .raise(let alert):
            return (
                "raise",
                [
                    "alertname": .string(alert.alertname), "labels": Document(alert.labels), "annotations": Document(alert.annotations),
                    "severity": Document(alert.severity), "value": alert.value,
                ]
            )
        case .resolve(let selection):
            return ("resolve", ["alertname": Document(selection.alertname), "labels": Document(selection.labels)])
        case .hush(let request): return request.shown
        case .fault(let fault):
            return (
                "error",
                [
                    "file": .string(fault.file), "line": .int(Int64(fault.line)), "message": .string(fault.message),
                    "limit": Document(fault.limit),
                ]
            )
        case .store, .subscriptionsChanged: return nil
        }
    }
}

extension HushRequest {
    fileprivate var shown: (name: String, content: Document) {
        switch self {
        case .acknowledge(let alert, let by, let comment, let until):
            (
                "acknowledge",
                ["alert": .string(alert), "by": .string(by), "comment": .string(comment), "until": Document(until)]
            )
        case .silence(let silence):
            (
                "silence",
                [
                    "id": .string(silence.id), "matchers": .array(silence.matchers.map { .string($0.description) }),
                    "endsAt": .instant(silence.endsAt), "by": .string(silence.createdBy), "comment": .string(silence.comment),
                ]
            )
        case .endSilence(let id): ("end_silence", ["id": .string(id)])
        }
    }
}

extension ScriptRequest {
    fileprivate var shown: (name: String, content: Document) {
        switch self {
        case .setConfig(let device, let patch): ("set_config", ["device": .string(device), "patch": patch])
        case .setVariable(let name, let value):
            ("set_variable", .object([.init("name", .string(name))] + (value.map { [.init("value", $0)] } ?? [])))
        case .http(let call): ("http", call.shown)
        case .query(let text): ("query", ["query": .string(text)])
        case .write(let point):
            (
                "write",
                [
                    "measurement": .string(point.measurement), "tags": Document(point.tags), "fields": .object(point.fields),
                ]
            )
        }
    }
}

extension HTTPCall {
    fileprivate var shown: Document {
        var members: [Document.Member] = [.init("method", .string(method)), .init("url", .string(url))]
        if !headers.isEmpty { members.append(.init("headers", .object(headers.map { .init($0.name, .string($0.value)) }))) }
        if !body.isEmpty { members.append(.init("body", .string(String(decoding: body, as: UTF8.self)))) }
        return .object(members)
    }
}

struct LuaREPLCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repl", abstract: "Type Lua as automations see it; each line is run at once.",
        discussion: """
            A line that is an expression shows its values, and '< TOPIC PAYLOAD' is a reading that comes now. With a script, what is typed sees what is global in it; 'mqtt.latest(topic)' \
            is the last reading of every topic. Ends at the end of input.
            """)

    @Argument(help: "A script that is loaded first.") var file: String?
    @Option(help: "A topic and a payload, with a space between them: comes before what is typed. May be given again.") var reading:
        [String] = []
    @Option(help: "The configuration file.") var config: String?

    func run() throws {
        let readings = try reading.map(SampleReading.option)
        let text = try file.map(scriptText) ?? ""
        let rehearsal = Rehearsal(settings: try ConfigurationOptions.load(config, flags: []).automationSettings) { effect in
            if case .log(_, let message) = effect.kind { return Output.result(message) }
            if let (name, content) = effect.kind.shown { Output.result("\(name) \(content.json)") }
        }
        rehearsal.keepLatest()
        rehearsal.load(file: file ?? "repl", text: text, at: .wallClock)
        for reading in readings { give(reading, to: rehearsal) }
        let isTerminal = isatty(0) != 0
        while true {
            if isTerminal { try? FileHandle.standardError.write(contentsOf: Data("> ".utf8)) }
            guard let line = readLine() else { return }
            if line.hasPrefix("<") {
                let sample = SampleReading(String(line.dropFirst().drop(while: \.isWhitespace)))
                if let sample { give(sample, to: rehearsal) } else { Output.talk("error: '< TOPIC PAYLOAD' is a reading") }
                continue
            }
            do throws(LuaFailure) {
                let values = try rehearsal.evaluate(line, at: .wallClock)
                if !values.isEmpty { Output.result(values.map(Self.text).joined(separator: "\t")) }
            } catch {
                Output.talk("error: \(error)")
            }
        }
    }

    /// Without a script nothing can listen.
    private func give(_ reading: SampleReading, to rehearsal: Rehearsal) {
        guard file == nil else { return reading.give(to: rehearsal, at: .wallClock) }
        rehearsal.apply(.reading(topic: reading.topic, payload: reading.payload, isRetained: false), at: .wallClock)
    }

    private static func text(_ value: LuaValue) -> String {
        switch value {
        case .none: "nil"
        case .string(let text): text
        case .array, .object: value.document.json
        default: value.payload.map { String(decoding: $0, as: UTF8.self) } ?? value.typeName
        }
    }
}
