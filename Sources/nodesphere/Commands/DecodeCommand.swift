import ArgumentParser
import Foundation
import RuleEngine

struct DecodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode", abstract: "Show what rules would see of a payload on standard input.")

    @Option(help: "The topic it came on.") var topic: String
    @Option(help: "A topic filter with captures, as in 'on'.") var on: String?
    @Option(help: "auto, text or bytes.") var decoder = "auto"
    @Flag(help: "Standard input is hexadecimal.") var hex = false
    @Flag(help: "As JSON.") var json = false

    func run() throws {
        let input = [UInt8](FileHandle.standardInput.readDataToEndOfFile())
        let payload = hex ? try bytes(ofHexadecimal: input) : input
        let kind: TopicSubscription.Decoder
        switch decoder {
        case "auto", "json": kind = .automatic
        case "text": kind = .text
        case "bytes": kind = .bytes
        default:
            Output.talk("error: there is no decoder '\(decoder)'; there are auto, text and bytes")
            throw Ending(2)
        }
        var captures = Document.emptyObject
        if let on {
            do {
                let filter = try TopicFilter(on)
                guard let found = filter.captures(in: topic) else {
                    Output.talk("error: '\(on)' does not match '\(topic)'")
                    throw Ending(1)
                }
                captures = .object(found.map { .init($0.name, .string($0.value)) })
            } catch let mistake as TopicFilter.Mistake {
                Output.talk("error: \(mistake.message)")
                throw Ending(2)
            }
        }
        switch PayloadInspection.fields(of: payload, decoder: kind) {
        case .success(let fields):
            if json {
                Output.result(Document.object([.init("fields", fields), .init("captures", captures), .init("time", .null)]).json)
            } else {
                for member in (captures.members ?? []) + (fields.members ?? []) { Output.result("\(member.name) = \(member.value.json)") }
            }
        case .failure(let failure):
            if json {
                Output.result(Document.object([.init("error", .string(failure.explanation))]).json)
            } else {
                Output.talk("error: \(failure.explanation)")
            }
            throw Ending(1)
        }
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
