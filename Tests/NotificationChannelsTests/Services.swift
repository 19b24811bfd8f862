import Foundation
import RuleEngine
import TestSupport

/// What each service asks of a request, by its documentation, and how it answers one that it does not like.
enum Service: String, CaseIterable, Sendable {
    case slack, telegram, ntfy, pagerduty, discord, teams, gotify

    struct Request {
        var method: String
        var path: String
        var headers: [String: String]
        var json: Document?
        var size: Int

        init(_ request: LoopbackServer.Request) {
            let lines = request.head.split(separator: "\r\n")
            let words = (lines.first ?? "").split(separator: " ")
            method = words.first.map(String.init) ?? ""
            path = words.count > 1 ? String(words[1]) : ""
            headers = [:]
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            }
            json = try? Document(json: request.body)
            size = request.body.count
        }

        func text(_ path: String...) -> String? {
            var found = json
            for name in path { found = found?[name] }
            return found?.string
        }
    }

    /// The configuration that sends to a server at this address.
    func values(at origin: String) -> PluginValues {
        func text(_ name: String, _ value: String) -> PluginValues.Entry { .init(name, .document(.string(value))) }
        func secret(_ name: String, _ value: String) -> PluginValues.Entry { .init(name, .secret(.text(value))) }
        switch self {
        case .slack: return PluginValues([secret("api_url", "\(origin)/services/T0/B0/x")])
        case .telegram: return PluginValues([secret("bot_token", "123:abc"), text("chat_id", "42"), text("api_url", origin)])
        case .ntfy: return PluginValues([secret("topic", "fleet"), secret("token", "tk_1"), text("url", origin)])
        case .pagerduty:
            return PluginValues([secret("routing_key", "R0123456789012345678901234567890"), text("url", "\(origin)/v2/enqueue")])
        case .discord: return PluginValues([secret("webhook_url", "\(origin)/api/webhooks/1/t")])
        case .teams: return PluginValues([secret("webhook_url", "\(origin)/workflows/1/triggers/manual/paths/invoke")])
        case .gotify: return PluginValues([secret("token", "A1"), text("url", origin)])
        }
    }

    /// What is wrong with a request; nil when the service takes it.
    func complaint(_ request: Request) -> String? {
        if request.method != "POST" { return "the method is \(request.method)" }
        guard request.headers["content-type"]?.hasPrefix("application/json") == true else { return "the body is not declared as JSON" }
        guard request.json != nil else { return "the body is no JSON" }
        switch self {
        case .slack: return slack(request)
        case .telegram: return telegram(request)
        case .ntfy: return ntfy(request)
        case .pagerduty: return pagerduty(request)
        case .discord: return discord(request)
        case .teams: return teams(request)
        case .gotify: return gotify(request)
        }
    }

    var goodStatus: Int {
        switch self {
        case .pagerduty, .teams: 202
        case .discord: 204
        default: 200
        }
    }

    // https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, limits of blocks: https://docs.slack.dev/reference/block-kit/blocks
    private func slack(_ request: Request) -> String? {
        if request.path != "/services/T0/B0/x" { return "the path" }
        guard let text = request.text("text"), !text.isEmpty, text.count <= 40_000 else { return "no_text" }
        for attachment in request.json?["attachments"]?.array ?? [] {
            let blocks = attachment["blocks"]?.array ?? []
            if blocks.count > 50 { return "too_many_blocks" }
            for block in blocks {
                guard block["type"]?.string == "section", block["text"]?["type"]?.string == "mrkdwn",
                    let text = block["text"]?["text"]?.string, !text.isEmpty, text.count <= 3000
                else { return "invalid_blocks" }
                if text.contains("<!channel>") || text.contains("<script") { return "a payload's text was taken for markup" }
            }
        }
        return nil
    }

    // https://core.telegram.org/bots/api#sendmessage and #html-style
    private func telegram(_ request: Request) -> String? {
        if request.path != "/bot123:abc/sendMessage" { return "the path" }
        guard request.text("chat_id") != nil else { return "Bad Request: chat_id is empty" }
        guard let text = request.text("text"), !text.isEmpty else { return "Bad Request: message text is empty" }
        let plain = text.replacing(/<[^>]*>/, with: "").replacing(/&(lt|gt|amp);/, with: "x")
        if plain.count > 4096 { return "Bad Request: message is too long" }
        if request.text("parse_mode") == "HTML" {
            let tags = text.matches(of: /<[^>]*>/).map { String($0.output) }
            guard tags == ["<b>", "</b>"] else { return "Bad Request: can't parse entities" }
            if text.replacing(/&(lt|gt|amp);/, with: "").contains("&") { return "Bad Request: can't parse entities" }
        }
        return nil
    }

    // https://docs.ntfy.sh/publish/#publish-as-json
    private func ntfy(_ request: Request) -> String? {
        if request.path != "/" { return "the path: JSON goes to the root" }
        if request.headers["authorization"] != "Bearer tk_1" { return "unauthorized" }
        guard request.text("topic") == "fleet" else { return "topic missing" }
        guard let message = request.text("message"), message.utf8.count <= 4096 else { return "the message is too long" }
        if let priority = request.json?["priority"] {
            guard let number = priority.int, (1...5).contains(number) else { return "invalid priority" }
        }
        guard request.json?["tags"]?.array?.allSatisfy({ $0.string != nil }) ?? true else { return "invalid tags" }
        return nil
    }

    // https://developer.pagerduty.com/docs/send-alert-event
    private func pagerduty(_ request: Request) -> String? {
        if request.path != "/v2/enqueue" { return "the path" }
        guard request.text("routing_key")?.utf8.count == 32 else { return "'routing_key' is invalid" }
        guard let action = request.text("event_action"), ["trigger", "acknowledge", "resolve"].contains(action) else {
            return "'event_action' is invalid"
        }
        guard let key = request.text("dedup_key"), (1...255).contains(key.count) else { return "'dedup_key' is invalid" }
        guard let summary = request.text("payload", "summary"), (1...1024).contains(summary.count) else {
            return "'payload.summary' is invalid"
        }
        guard request.text("payload", "source")?.isEmpty == false else { return "'payload.source' is missing" }
        guard ["critical", "error", "warning", "info"].contains(request.text("payload", "severity")) else {
            return "'payload.severity' is invalid"
        }
        if let timestamp = request.text("payload", "timestamp"), Instant(rfc3339: timestamp) == nil {
            return "'payload.timestamp' is invalid"
        }
        // "The maximum permitted size of PD-CEF event is 512 KB."
        return request.size > 512 << 10 ? "Event object exceeds size limit" : nil
    }

    // https://discord.com/developers/docs/resources/webhook#execute-webhook, …/message#embed-object-embed-limits
    private func discord(_ request: Request) -> String? {
        if request.path != "/api/webhooks/1/t" { return "the path" }
        guard request.json?["allowed_mentions"]?["parse"]?.array == [] else { return "everybody could be rung" }
        let embeds = request.json?["embeds"]?.array ?? []
        guard request.text("content") != nil || (1...10).contains(embeds.count) else { return "Cannot send an empty message" }
        for embed in embeds {
            if let title = embed["title"]?.string, title.count > 256 { return "title: Must be 256 or fewer in length" }
            if let description = embed["description"]?.string, description.count > 4096 {
                return "description: Must be 4096 or fewer in length"
            }
            if let colour = embed["color"] { guard let number = colour.int, (0...0xFFFFFF).contains(number) else { return "color" } }
            if let timestamp = embed["timestamp"]?.string, Instant(rfc3339: timestamp) == nil { return "timestamp: Could not parse" }
        }
        return nil
    }

    // https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using#send-adaptive-cards-using-an-incoming-webhook
    private func teams(_ request: Request) -> String? {
        if request.path != "/workflows/1/triggers/manual/paths/invoke" { return "the path" }
        if request.size > 28 << 10 { return "Request Entity too large" }
        guard request.text("type") == "message", let attachments = request.json?["attachments"]?.array, attachments.count == 1 else {
            return "a message needs its attachment"
        }
        guard attachments[0]["contentType"]?.string == "application/vnd.microsoft.card.adaptive", let card = attachments[0]["content"],
            card["type"]?.string == "AdaptiveCard", card["version"]?.string != nil, let body = card["body"]?.array, !body.isEmpty
        else { return "no adaptive card" }
        guard body.allSatisfy({ $0["type"]?.string == "TextBlock" && $0["text"]?.string?.isEmpty == false }) else { return "a block" }
        return nil
    }

    // https://gotify.net/api-docs#/message/createMessage
    private func gotify(_ request: Request) -> String? {
        if request.path != "/message" { return "the path" }
        if request.headers["x-gotify-key"] != "A1" { return "Unauthorized" }
        guard request.text("message")?.isEmpty == false else { return "Field 'message' is required" }
        if let priority = request.json?["priority"] { guard priority.int != nil else { return "priority" } }
        return nil
    }
}
