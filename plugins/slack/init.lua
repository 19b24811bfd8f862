-- https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, https://docs.slack.dev/reference/methods/chat.postMessage

-- Slack's own limits: 3,000 characters of a section, and `text` should stay below 4,000.
local max_section, max_title, max_alerts = 3000, 150, 20

local colours = { critical = "#d50200", error = "#d50200", warning = "#de9e31", info = "#439fe0" }

local function colour(notification)
  if notification.status ~= "firing" then return "#2eb67d" end
  return colours[text.severity(notification)] or "#d50200"
end

-- https://docs.slack.dev/messaging/formatting-message-text#escaping: the three characters of HTML, and no others.
local function line(alert)
  local mark = alert.status == "firing" and ":red_circle: " or ":large_green_circle: "
  local words = mark .. text.escape_html(text.summary(alert))
  local runbook = (alert.annotations or {}).runbook_url
  if runbook and string.find(runbook, "^https?://[^|>%s]+$") then words = words .. " <" .. runbook .. "|runbook>" end
  return words
end

local function message(notification, config)
  local title = config.title or text.escape_html(text.title(notification))
  local body = config.text or text.lines(notification, max_alerts, line)
  return {
    text = text.truncate(title, max_title),
    username = config.username,
    icon_emoji = config.icon_emoji,
    attachments = {
      {
        color = colour(notification),
        fallback = text.truncate(title, max_title),
        blocks = { { type = "section", text = { type = "mrkdwn", text = text.truncate(body, max_section) } } },
      },
    },
  }
end

-- A webhook answers 200 and 'ok'; else the body says why: invalid_payload, channel_not_found, …
local function by_webhook(notification, config)
  if not config.api_url then return "reject", "'api_url' or 'bot_token' is missing" end
  return channel.outcome(http.post(config.api_url, {
    headers = { ["Content-Type"] = "application/json" }, body = json.encode(message(notification, config)),
  }))
end

-- Errors of the API that go away by themselves.
local passing = { ratelimited = true, rate_limited = true, internal_error = true, fatal_error = true, service_unavailable = true, request_timeout = true }

-- The API answers 200 also when it refuses: {"ok": false, "error": "channel_not_found"}.
local function by_bot(notification, config)
  if not config.channel then return "reject", "'channel' is missing: a bot must be told where to write" end
  local body = message(notification, config)
  body.channel = config.channel
  local response, problem = http.post((config.api_url or "https://slack.com/api") .. "/chat.postMessage", {
    headers = { ["Content-Type"] = "application/json; charset=utf-8", ["Authorization"] = "Bearer " .. config.bot_token },
    body = json.encode(body),
  })
  local outcome, reason, after = channel.outcome(response, problem)
  if outcome ~= "ok" then return outcome, reason, after end
  local answer = json.decode(response.body)
  if type(answer) ~= "table" then return "retry", "Slack's answer is no JSON" end
  if answer.ok == true then return "ok" end
  local why = type(answer.error) == "string" and answer.error or "no reason"
  return passing[why] and "retry" or "reject", "Slack refused it: " .. why
end

plugin {
  channels = {
    slack = function(notification, config)
      if config.bot_token then return by_bot(notification, config) end
      return by_webhook(notification, config)
    end,
  },
}
