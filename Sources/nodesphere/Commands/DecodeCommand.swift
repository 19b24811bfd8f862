import ArgumentParser
import Foundation
import RuleEngine
import RuleLanguage

struct DecodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode", abstract: "Show what rules would see of a payload on standard input.")

    @Option(help: "The topic it came on.") var topic: String
    @Option(help: "A topic filter with captures, as in 'on'.") var on: String?
    @Option(help: "auto, text, bytes, or a plugin's.") var decoder = "auto"
    @Option(help: "The member that says when a reading was measured, as in 'on'.") var timeField: String?
    @Option(help: "The configuration file, for plugins.") var config: String?
    @Flag(help: "Standard input is hexadecimal.") var hex = false
    @Flag(help: "As JSON.") var json = false

    func run() throws {
        guard !topic.utf8.contains(where: { $0 == 35 || $0 == 43 }) else {
            Output.talk("error: '\(topic)' is a filter: messages come on topics, which have no '+' and '#'")
            throw Ending(2)
        }
        let input = [UInt8](FileHandle.standardInput.readDataToEndOfFile())
        let payload = hex ? try bytes(ofHexadecimal: input) : input
        let kind: TopicSubscription.Decoder
        switch decoder {
        case "auto", "json": kind = .automatic
        case "text": kind = .text
        case "bytes": kind = .bytes
        default:
            let captures = try captures()
            return try decode(payload, with: try plugin(), captures)
        }
        let captures = try captures()
        switch PayloadInspection.fields(of: payload, decoder: kind) {
        case .success(let fields): show(fields, captures, time: nil)
        case .failure(let failure): throw complain(failure.explanation)
        }
    }

    private func captures() throws -> Document {
        guard let on else { return .emptyObject }
        do {
            let filter = try TopicFilter(on)
            guard let found = filter.captures(in: topic) else {
                Output.talk("error: '\(on)' does not match '\(topic)'")
                throw Ending(1)
            }
            return .object(found.map { .init($0.name, .string($0.value)) })
        } catch let mistake as TopicFilter.Mistake {
            Output.talk("error: \(mistake.message)")
            throw Ending(2)
        }
    }

    private func plugin() throws -> any TelemetryDecoder {
        let plugins = try InstalledPlugins.forCommand(config)
        if let found = plugins.set.decoders[decoder] { return found }
        let known = ["auto", "bytes", "text"] + plugins.set.catalog.names(.decoder)
        Output.talk("error: there is no decoder '\(decoder)'; there are \(known.joined(separator: ", "))")
        throw Ending(2)
    }

    private func decode(_ payload: [UInt8], with decoder: any TelemetryDecoder, _ captures: Document) throws {
        do throws(TelemetryDecoderFailure) {
            guard let (fields, time) = try PayloadInspection.fields(topic: topic, payload: payload, decoder: decoder) else {
                if json {
                    Output.result("{\"ignored\":true}")
                } else {
                    Output.talk("the decoder passes this message over: it is no reading")
                }
                return
            }
            show(fields, captures, time: time)
        } catch { throw complain(error.reason) }
    }

    /// What `time_field` says goes before the time that a plugin found.
    private func show(_ fields: Document, _ captures: Document, time: Instant?) {
        let stamp = timeField.flatMap { PayloadInspection.time(of: fields, at: $0.split(separator: ".").map(String.init)) }
        if let timeField, stamp == nil { Output.talk("'\(timeField)' is no time stamp here: the reading counts from when it is received") }
        show(fields, captures, measuredAt: stamp ?? time)
    }

    private func show(_ fields: Document, _ captures: Document, measuredAt time: Instant?) {
        if json {
            Output.result(Document.object([.init("fields", fields), .init("captures", captures), .init("time", Document(time))]).json)
            return
        }
        let captured = captures.members ?? []
        for member in captured { Output.result("\(member.name) = \(member.value.json)") }
        for member in fields.members ?? [] {
            Output.result("\(FieldSpelling.name(of: member.name, besides: captured.map(\.name))) = \(member.value.json)")
        }
        if let time { Output.result("time = \(time)") }
    }

    private func complain(_ reason: String) -> Ending {
        if json {
            Output.result(Document.object([.init("error", .string(reason))]).json)
        } else {
            Output.talk("error: \(reason)")
        }
        return Ending(1)
    }

    private func bytes(ofHexadecimal text: [UInt8]) throws -> [UInt8] {
        let digits = text.filter { $0 > 32 }
        guard digits.count % 2 == 0 else {
            Output.talk("error: hexadecimal needs two digits a byte")
            throw Ending(2)
        }
        return try stride(from: 0, to: digits.count, by: 2).map { at in
            guard let byte = UInt8(String(decoding: digits[at..<at + 2], as: UTF8.self), radix: 16) else {
                Output.talk("error: that is not hexadecimal")
                throw Ending(2)
            }
            return byte
        }
    }
}
