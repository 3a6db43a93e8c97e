"""Words by which people ask for things, each row with what it may be called in a tool's name."""

from __future__ import annotations

from typing import Final

VERBS: Final = """
send: send mail email e-mail write message text tell notify inform dm drop transfer pay wire remit
forward: forward fwd
reply: reply respond answer
email: email e-mail mail send write
mail: email e-mail mail send write
message: message dm text tell send write ping
text: text message sms send
dm: dm message tell send
notify: notify tell inform alert send
pay: pay transfer wire remit send settle
transfer: transfer pay wire remit send move
wire: wire transfer pay send
refund: refund reimburse
reimburse: refund reimburse
charge: charge bill
withdraw: withdraw
deposit: deposit
donate: donate give
post: post publish announce write
publish: publish post release
tweet: tweet post
comment: comment reply
get: get fetch read open visit look see check summarize summarise say tell what show find how
fetch: fetch get read open visit look see check summarize summarise say tell what show find
read: read get look see check summarize summarise say says tell what show find open
search: search find look get check what which query ask
find: find search look get what which
query: query ask search get look what how check
lookup: look find get search
look: look find get search
list: list get show what which
browse: browse open visit read get
ask: ask query get
create: create make give add new write draft schedule set start open put plan generate save
make: make create book reserve place do
new: new create make add
write: write create save put
draft: draft write prepare
save: save store write put keep
store: store save keep put
schedule: schedule book arrange plan create add put set organise organize
plan: plan schedule arrange
book: book reserve rent get
reserve: reserve book get
rent: rent book hire
order: order buy purchase get
buy: buy purchase order get
purchase: purchase buy order get
sell: sell
delete: delete remove erase trash discard clear
remove: remove delete kick drop take exclude uninvite
erase: erase delete wipe
clear: clear empty delete
trash: trash delete bin
cancel: cancel abort
stop: stop end cancel halt
terminate: terminate end stop
close: close resolve end
update: update change edit modify adjust correct set amend increase decrease raise lower
change: change update edit modify switch set
edit: edit change update modify correct
modify: modify change update edit
set: set change update make
rename: rename call name
reschedule: reschedule move postpone shift change
move: move shift put reschedule
copy: copy duplicate clone
upload: upload attach put
download: download get fetch save
archive: archive
restore: restore recover undelete
append: append add write insert extend
insert: insert add put
add: add give invite include append put insert join
invite: invite add
share: share give
unshare: unshare
grant: grant give allow permit
revoke: revoke withdraw remove
enable: enable activate on
disable: disable deactivate off
activate: activate enable
deactivate: deactivate disable
lock: lock freeze block
unlock: unlock unfreeze unblock
block: block lock freeze
unblock: unblock unlock
freeze: freeze block lock
approve: approve accept
reject: reject decline refuse
accept: accept approve confirm
decline: decline reject refuse
confirm: confirm accept approve
submit: submit send file hand
file: file submit
register: register enrol enroll sign
subscribe: subscribe follow sign
unsubscribe: unsubscribe
follow: follow
unfollow: unfollow
assign: assign give
unassign: unassign
resolve: resolve close fix
open: open create
start: start begin launch
run: run execute start
execute: execute run
deploy: deploy release ship roll
restart: restart reboot
mark: mark flag set
star: star
pin: pin
label: label tag
tag: tag label
like: like
rate: rate
review: review
sign: sign
renew: renew extend
extend: extend renew
replace: replace swap exchange
exchange: exchange swap replace
return: return
report: report
call: call phone ring
merge: merge
push: push
commit: commit
redeem: redeem use
reset: reset change
log: log record note
record: record log note
join: join
leave: leave
kick: kick remove
ban: ban
modify: modify change update
apply: apply
issue: issue
claim: claim
check: check
put: put add set
"""

NOUNS: Final = """
email mail inbox message messages emails mails reply
message messages dm dms text note msg
money payment payments amount rent bill invoice dollars euros pounds usd eur gbp chf cash funds
payment payments money rent bill invoice transaction
transaction transactions transfer payment payments money standing
transfer transfers payment money transaction
event events meeting meetings appointment appointments calendar call lunch dinner breakfast brunch
 session party workout sync workshop standup interview reminder
calendar event events meeting meetings appointment appointments call lunch dinner
meeting meetings event appointment call sync
appointment appointments meeting event visit
reminder reminders remind
file files document documents doc docs report pdf spreadsheet notes
document documents doc file files report
folder folders directory
user users person people member members colleague employee account
member members user users people person
participant participants attendee attendees guest guests people
channel channels
hotel hotels room stay night nights
restaurant restaurants table dinner lunch
car cars rental vehicle
flight flights plane
ticket tickets issue
order orders
item items product products
password passwords passphrase
address addresses
contact contacts
task tasks todo todos
issue issues bug bugs ticket
note notes
comment comments
subscription subscriptions
invitation invitations invite
page pages webpage website site article link url
webpage page pages website site article link url
post posts
list lists
group groups team
booking bookings reservation reservations
reservation reservations booking bookings table room
profile details info information
info information details profile
settings setting preferences
card cards
account accounts
"""
